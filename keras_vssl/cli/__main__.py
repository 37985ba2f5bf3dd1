"""`python -m keras_vssl.cli`, for where scripts are not on the PATH."""

import sys

from keras_vssl.cli.entry import main

sys.exit(main())
