import os
import sys
import tempfile

from tests.fuzz.run import main

os.chdir(tempfile.mkdtemp())  # what is saved by a call is saved there
sys.exit(bool(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)))
