"""`toyflow robot-data check`: a LeRobot data set is read once, whole, and what contradicts what is named.

`check_data_set` reads the folder itself, without LeRobot and torch: `reading` makes `contents` of the tables,
`structure` compares them with meta, `numbers` and `statistics` look at states and actions, `pictures` at
cameras (in `image_files` or `videos`), `conventions` at units. `data_report` is what it returns, `page` shows
that as HTML, and `gate` refuses to train on what contradicts itself.
"""
