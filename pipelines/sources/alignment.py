"""One image brought onto the grid of another: by where both lie, or, where they share no coordinates, by registration.

Resampling is SciPy's, linear. Registration is SimpleITK's: a rigid motion that maximises mutual information (Mattes et
al., IEEE TMI 22(1), 2003), the same for the same images, and believed only when a second start ends at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.geometry import Volume, to_patient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

SAME_PLACE_MM = 1e-3
# Two starts of the registration, this far from each other, must end no farther apart than the second number.
_OTHER_START = (4.0, np.deg2rad(3.0))
CONVERGED_MM = 1.0
_SAMPLES, _SEED = 60_000, 20_260_101
_INSTALL = "registration needs SimpleITK: pip install 'radnode[registration]'"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """A rigid motion. matrix: (4, 4), LPS mm of the fixed image -> LPS mm of the moving one.

    moved_mm: how far it moves the farthest corner of the fixed image. apart_mm: how far from each other two starts
    ended, at the farthest corner. mutual_information: at the end (larger is better).
    """

    matrix: Affine
    moved_mm: float
    apart_mm: float
    mutual_information: float


def same_grid(one: Volume, other: Volume) -> bool:
    """Whether voxels of both have the same place."""
    return one.voxels.shape == other.voxels.shape and bool(
        np.abs(_corners(one, one.affine) - _corners(one, other.affine)).max() < SAME_PLACE_MM
    )


def resample(moving: Volume, fixed: Volume, motion: Affine | None = None) -> Volume:
    """The moving image on the grid of the fixed one, linear between its voxels.

    motion: fixed LPS mm -> moving LPS mm; None where they share coordinates. Beyond the moving image, `valid` is False
    and the value is its smallest, or 0 if that is smaller. `frames` are those of the fixed image: there it lies now.
    """
    matrix = np.linalg.inv(moving.affine) @ (np.eye(4) if motion is None else motion) @ fixed.affine
    options: dict[str, Any] = {
        "matrix": matrix[:3, :3], "offset": matrix[:3, 3], "output_shape": fixed.voxels.shape, "order": 1,
        "mode": "nearest", "prefilter": False,
    }
    voxels = ndimage.affine_transform(moving.voxels, **options)
    valid = _inside(matrix, fixed.voxels.shape, moving.voxels.shape)
    if not moving.valid.all():
        valid &= ndimage.affine_transform(moving.valid.astype(np.float32), **options) > 1 - 1e-3
    known = moving.voxels[moving.valid]
    voxels[~valid] = min(0.0, float(known.min())) if known.size else 0.0
    return Volume(
        voxels=voxels.astype(np.float32, copy=False), affine=fixed.affine, frames=fixed.frames, valid=valid,
        series_instance_uid=moving.series_instance_uid, frame_of_reference_uid=fixed.frame_of_reference_uid,
    )


def register(moving: Volume, fixed: Volume) -> Motion:
    """The rigid motion from the fixed image to the moving one. Raises NotProcessed when it does not converge."""
    itk = _simpleitk()
    images = _as_itk(itk, fixed), _as_itk(itk, moving)
    centre = to_patient(fixed.affine, (np.array([fixed.voxels.shape]) - 1) / 2)[0]
    starts = [itk.Euler3DTransform(), itk.Euler3DTransform()]
    for start in starts:
        start.SetCenter(tuple(map(float, centre)))
    own = to_patient(moving.affine, (np.array([moving.voxels.shape]) - 1) / 2)[0]
    starts[1].SetTranslation(tuple(map(float, own - centre)))
    # A start without a common voxel is none; the other may have one.
    ended = [result for start in starts if (result := _optimise(itk, *images, start)) is not None]
    if not ended:
        raise NotProcessed("the images have no part in common: they cannot be registered")
    best, value = min(ended, key=lambda result: float(result[1]))
    again = _optimise(itk, *images, _elsewhere(itk, best))
    apart = np.inf if again is None else _farthest(fixed, _matrix(best), _matrix(again[0]))
    if apart > CONVERGED_MM:
        raise NotProcessed(f"registration did not converge: two starts ended {apart:.1f} mm apart, "
                           f"{CONVERGED_MM:g} mm are tolerated")
    return Motion(matrix=_matrix(best), moved_mm=_farthest(fixed, np.eye(4), _matrix(best)), apart_mm=apart,
                  mutual_information=-value)


def _inside(matrix: Affine, shape: tuple[int, ...], of: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which indices of a grid lie within the voxels of another, whose indices `matrix` gives."""
    inside = np.ones(shape, np.bool_)
    steps = [np.arange(size, dtype=np.float64).reshape([-1 if axis == place else 1 for place in range(3)])
             for axis, size in enumerate(shape)]
    for axis, size in enumerate(of):
        index = matrix[axis, 3] + sum(matrix[axis, place] * steps[place] for place in range(3))
        inside &= (index >= -0.5 - 1e-6) & (index <= size - 0.5 + 1e-6)
    return inside


def _simpleitk() -> Any:
    try:
        import SimpleITK as itk  # noqa: N813, PLC0415 - an extra
    except ImportError as error:
        raise NotProcessed(_INSTALL) from error
    return itk


def _as_itk(itk: Any, volume: Volume) -> Any:
    spacing = np.array(volume.spacing_mm)
    image = itk.GetImageFromArray(volume.voxels)
    image.SetSpacing([float(each) for each in spacing[::-1]])
    image.SetOrigin([float(each) for each in volume.affine[:3, 3]])
    image.SetDirection([float(each) for each in (volume.affine[:3, :3] / spacing)[:, ::-1].ravel()])
    return image


def _optimise(itk: Any, fixed: Any, moving: Any, start: Any) -> tuple[Any, float] | None:
    method = itk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # sums of several threads differ in their last digit from run to run
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / float(np.prod(fixed.GetSize()))), seed=_SEED)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-4, numberOfIterations=400, relaxationFactor=0.8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    small = min(fixed.GetSize() + moving.GetSize()) < 32
    method.SetShrinkFactorsPerLevel([1, 1] if small else [3, 1])
    method.SetSmoothingSigmasPerLevel([4, 2])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    transform = itk.Euler3DTransform(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK's only word for "no common voxel"
        return None
    return transform, float(method.GetMetricValue())


def _elsewhere(itk: Any, transform: Any) -> Any:
    shift, turn = _OTHER_START
    other = itk.Euler3DTransform(transform)
    other.SetRotation(*(float(angle + turn) for angle in
                        (transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ())))
    other.SetTranslation([float(each + shift) for each in transform.GetTranslation()])
    return other


def _matrix(transform: Any) -> Affine:
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - rotation @ centre
    return matrix


def _farthest(volume: Volume, one: Affine, other: Affine) -> float:
    """How far apart two motions put the corner of a volume where they differ most, in mm."""
    return float(np.linalg.norm(_corners(volume, one @ volume.affine) - _corners(volume, other @ volume.affine),
                                axis=1).max())


def _corners(volume: Volume, affine: Affine) -> NDArray[np.float64]:
    last = np.array(volume.voxels.shape) - 1
    return to_patient(affine, np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * last)
