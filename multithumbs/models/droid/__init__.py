"""DROID-SLAM's networks (Teed and Deng, NeurIPS 2021), written from ../shared/facts/droid.md.

``interface`` says what the SLAM system around them may rely on, ``network`` is the module that
the official checkpoint is loaded into, ``correlation`` the all-pairs volume and its low-memory
form. The geometry lives in `multithumbs.geometry.inverse_depth`, the bundle adjustment in
`multithumbs.solvers.dense_ba`.
"""
