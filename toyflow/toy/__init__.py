"""The toy: tasks on MNIST, their networks and scores, and the study of one cell."""
