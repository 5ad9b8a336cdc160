#!/usr/bin/env bash
# SimpleITK: the Feret diameter and the volume of one label are measured with different rulers
#
# Expected: the largest diameter of a box of 6 x 6 x 12 mm is its diagonal, 14.7 mm; a voxel of 1 x 1 x 2 mm has one
# of 2.4 mm; the faces of the box are 360 mm2.
# Happens: LabelShapeStatistics gives 12.2 mm and 0 mm (between centres of voxels), while the volume is of whole
# voxels; the perimeter is 275 mm2, 24% below the area of the faces, and its roundness is above 1.
# Versions: SimpleITK 2.5.7, numpy 2.4.6
# Matters: lesion diameters come out a voxel too short, a single-voxel lesion has none, and more than round shapes
# pass thresholds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "SimpleITK==2.5.7" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import numpy as np
import SimpleITK as sitk

box, single = np.zeros((10, 10, 10), np.uint8), np.zeros((9, 9, 9), np.uint8)
box[2:8, 2:8, 2:8] = 1
single[4, 4, 4] = 1
found = {}
for name, mask in (("box", box), ("single voxel", single)):
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((1, 1, 2))
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.ComputePerimeterOn()
    shape.Execute(image)
    found[name] = (shape.GetPhysicalSize(1), shape.GetFeretDiameter(1), shape.GetPerimeter(1), shape.GetRoundness(1))
    volume, feret, perimeter, roundness = found[name]
    print(f"{name}: volume {volume:.1f} mm3, Feret {feret:.2f} mm, perimeter {perimeter:.1f} mm2, roundness {roundness:.2f}")
assert np.allclose(found["box"], (432, 150**0.5, 274.687, 1.006), atol=1e-2)
assert found["single voxel"][:2] == (2.0, 0.0) and found["single voxel"][3] > 1
END
