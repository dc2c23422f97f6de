"""What the pipeline says of a chest with known nodules: places, sides, sizes and kinds, and words where it is unsure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import nodules as support
from support import validators
from support.orders import order_of

from radnode.pipelines import ct_lung, ct_nodule, registry, runner
from radnode.pipelines.contract import NotProcessed, RunState
from radnode.pipelines.ct_lung.phantom import write_series
from radnode.pipelines.ct_nodule.marks import Mark, OfBundle
from radnode.pipelines.ct_nodule.phantom import Kind, NodulePhantom, ball, nodule_phantom
from radnode.pipelines.ct_nodule.pipeline import DIAMETER, KIND, KINDS, VOLUME, CtNodule
from radnode.pipelines.findings import Code, Detection, Findings, InPatient
from radnode.pipelines.geometry import to_patient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from radnode.pipelines.contract import RunContext, StudyImages

NODULES = (ball((-80.0, 10.0, 20.0), 12.0), ball((85.0, -20.0, 40.0), 10.0, kind=Kind.GROUND_GLASS))


@lru_cache(maxsize=1)
def phantom() -> NodulePhantom:
    return nodule_phantom(seed=3, slices=128, size=192, nodules=NODULES)
