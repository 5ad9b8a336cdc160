#!/usr/bin/env bash
# antspyx: two structures of a large atlas become one label when it is read, also where 32-bit integers are asked for
#
# Expected: image_read(file, pixeltype="unsigned int") gives the integers that the file holds.
# Happens: every file is read as 32-bit floats first, which hold no odd integer above 16777216: of the Allen mouse
# brain's identifiers 312782546 and 312782550 both become 312782560, and 614454277 becomes 614454272. No warning.
# Versions: antspyx 0.6.3, nibabel 5.4.2, numpy 2.3.5
# Matters: label maps of the Allen atlases, with the identifiers of their ontology: structures are merged, masks by
# identifier are empty, and what is written again looks like a sound label map.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "antspyx==0.6.3" "nibabel==5.4.2" "numpy==2.3.5"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
from importlib.metadata import version

import ants
import nibabel as nib
import numpy as np

stored = [997, 312782546, 312782550, 614454277]
nib.save(nib.Nifti1Image(np.array([[stored]], np.int32), np.eye(4)), "labels.nii.gz")
print("antspyx", version("antspyx"), "numpy", np.__version__, "file:", nib.load("labels.nii.gz").get_data_dtype(), stored)
read = {}
for pixeltype in ("float", "unsigned int"):
    image = ants.image_read("labels.nii.gz", pixeltype=pixeltype)
    read[pixeltype] = [int(value) for value in image.numpy().ravel()]
    print(f"pixeltype={pixeltype!r}: {image.dtype} {read[pixeltype]}")
wanted = ants.from_numpy(np.array(stored, np.uint32).reshape(1, 1, 4))
print("from_numpy:", wanted.dtype, [int(value) for value in wanted.numpy().ravel()])
ants.image_write(wanted, "written.nii.gz")
again = np.asarray(nib.load("written.nii.gz").dataobj).ravel().astype(np.int64).tolist()
print("from_numpy, written, read by nibabel:", again)
assert read["unsigned int"] == [997, 312782560, 312782560, 614454272] != stored
END
