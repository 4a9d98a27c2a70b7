"""The toy: tasks on MNIST digits, their models and scores, and the runner that trains and evaluates them."""
