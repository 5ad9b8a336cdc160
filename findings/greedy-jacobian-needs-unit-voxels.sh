#!/usr/bin/env bash
# greedy: the Jacobian determinant of a warp is right at 1 mm only
#
# Expected: -rj gives the local change of volume, which does not depend on the voxel size.
# Happens: the same deformation, in voxels, of 2 mm images: -rj's deviation from 1 is about twice as large as ITK's,
# which gives the same at 1 and 2 mm.
# Versions: picsl-greedy 1.4.0.3, SimpleITK 2.5.7, numpy 2.4.6, scipy 1.17.1
# Matters: volumes of atrophy and folding counts from Jacobians are wrong by a factor of the voxel size, with no word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "picsl-greedy==1.4.0.3" "SimpleITK==2.5.7" "numpy==2.4.6" "scipy==1.17.1"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk
from picsl_greedy import Greedy3D
from scipy.ndimage import gaussian_filter

array = gaussian_filter(np.random.default_rng(0).normal(size=(32, 32, 32)), 3).astype(np.float32)
inner = (slice(4, -4),) * 3
change = {}
for mm in (1.0, 2.0):
    for name, voxels in (("fixed", array), ("moving", np.roll(array, 1, 0))):
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((mm, mm, mm))
        sitk.WriteImage(image, f"{name}.nii.gz")
    greedy = Greedy3D()
    greedy.execute("-d 3 -V 0 -i fixed.nii.gz moving.nii.gz -m SSD -n 20x10 -wp 0 -o warp.nii.gz -seed 1 -threads 1")
    greedy.execute("-d 3 -V 0 -rf fixed.nii.gz -rj jacobian.nii.gz -r warp.nii.gz")
    own = sitk.GetArrayFromImage(sitk.ReadImage("jacobian.nii.gz"))[inner]
    warp = sitk.Cast(sitk.ReadImage("warp.nii.gz"), sitk.sitkVectorFloat64)
    itk = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(warp))[inner]
    change[mm] = (float(np.mean(own) - 1), float(np.mean(itk) - 1))
    print(f"{mm} mm voxels: mean change of volume by greedy {change[mm][0]:+.4f}, by ITK {change[mm][1]:+.4f}")
assert abs(change[1.0][0] - change[1.0][1]) < 1e-4 and abs(change[1.0][1] - change[2.0][1]) < 1e-4
assert 1.8 < change[2.0][0] / change[2.0][1] < 2.2
END
