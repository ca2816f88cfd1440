"""Keeps the linear algebra libraries to one thread; imported before anything that loads numpy.

OpenBLAS lets its idle threads spin for a while after a product. Their seconds are the process's, so
that whatever is timed next looks up to twice as dear as it is.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
