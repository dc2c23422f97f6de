"""What an image shows, by what its header says: weighting, contrast medium, phase, diffusion. Pure.

A header is anything with `get(keyword)`: a pydicom data set, or the attributes that the node keeps. Names are read
first, the times of the sequence may confirm or contradict them; a contradiction is no evidence for either side.
The same words are understood where an author names the inputs of a model.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from radnode.pipelines.inputs import Content
from radnode.pipelines.sources.headers import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = ("SeriesDescription", "ProtocolName", "SequenceName")

# What names mean, as scanners, technologists and authors of models write them (English, German, French, Spanish,
# Italian); accents are removed, punctuation but + and * is a space.
_WORDS = {
    "T1": r"(?<![a-z0-9])s?(?:[23]d ?)?t1(?![0-9])|mp ?rage|spgr|bravo|vibe|thrive",
    "T2": r"(?<![a-z0-9])s?(?:[23]d ?)?t2(?![0-9*])",
    "FLAIR": r"flair|dark ?fluid|da fl\b",
    "PD": r"(?<![a-z])pd(?:w|wi)?\b|proton ?dens|\bpdfs\b",
    "ADC": r"\bd?adc|apparent diff",
    "DIFFUSION": r"\bdwi|diff|trace|\bhbv\b|high ?b\b|\bb ?=? ?\d{2,4}\b",
    "SUSCEPTIBILITY": r"t2 ?\*|t2 ?star|\bswi|\bswan\b|venobold|hemo|t2 (?:ffe|gre)\b|(?:ffe|gre) t2\b",
    "STIR": r"\bstir\b",
    "OTHER": r"perf|\bdsc\b|\bpwi\b|\basl\b|\br?cb[vf]\b|\bmtt\b|\bttp\b|tmax|\btof\b|\bmr[av]\b|\bdti\b|tensor|"
             r"\bfa\b|col ?fa|tracto|bold|fmri|spectro|field ?map|\bb[01] ?map|t[12] ?map|t1 ?rho|exponential|\beadc|"
             r"mp2rage(?!.*\buni)|dixon.*\b(?:f|fat)\b|(?:opp|opposed|out) ?phase",
    "LOCALISER": r"locali[sz]er|scout|survey|smart ?brain|\bloc\b|3 ?plane|topogram|pilot|calib|ref ?scan|sense ref",
    "MADE": r"\bsub\b|subtract|\bmi?n?ip\b|\bminip\b|\bvrt\b|screen|snapshot|key ?images?|capture|fus(?:ed|ion)|"
            r"overlay|dose|report|\bmpr\b",
    "ARTERIAL": r"arter|\bart\b",
    "VENOUS": r"\bven(?!tr)|\bvein|portal|porto|nephro",
    "DELAYED": r"delay|excret|urogra|\bspat|tardi|\blate\b(?! ?art)|equilib",
}
_WITHOUT = (r"without|\bw ?o\b|non ?contrast|no contrast|unenhanced|\bnativ|\bpre\b|pre ?contrast|\bohne\b|\bsans\b|"
            r"\bsin\b|\bsenza\b|\bplain\b|\bnc\b|t1n\b|non ?ce\b")
_WITH = (r"(?<![a-z])(?:ce|gd|gado[a-z]*|gad|km|kontrast[a-z]*|contraste?|contrasto|mdc|inj[a-z]*|post(?! ?op)|"
         r"dotarem|gadovist|magnevist|prohance)\b|t1(?:w|wi)? ?(?:c|ce|gd|gad|km|post)\b|\+ ?(?:c|gd|km|ce)?\b|c ?\+")
AGENT_GIVEN = "Contrast/Bolus Agent is given"
_NO_AGENT = {"", "no", "none", "non", "ohne", "nein", "n", "-", "0", "false"}
_LATE_ARTERIAL = re.compile(r"late art")

_WEIGHTINGS = ("T1", "T2", "FLAIR", "PD", "ADC", "DIFFUSION", "SUSCEPTIBILITY", "STIR")
_PHASES = ("ARTERIAL", "VENOUS", "DELAYED")
HIGH_B, LOW_B = 800.0, 100.0
# Seconds from the start of the injection: what a phase may have, generously.
_DELAYS = {Content.ARTERIAL: (8.0, 55.0), Content.VENOUS: (45.0, 150.0), Content.DELAYED: (120.0, 3600.0)}
_PRIVATE_B = ((0x0043, 0x1039), (0x0019, 0x100C), (0x2001, 0x1003))  # GE, Siemens, Philips


class Header(Protocol):
    """Attributes by keyword."""

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What names say. contrast: with, without, both (a contradiction) or nothing said: ()."""

    weightings: tuple[str, ...] = ()
    contrast: tuple[bool, ...] = ()
    phases: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Unfit(Exception):
    """An image is not what is wanted; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a header agrees with what is wanted. certain: it says so itself, nothing is concluded."""

    certain: bool = False
    reasons: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def named(text: str) -> Named:
    """What a series' name, or an author's word for an input, says."""
    said = re.sub(r"[^a-z0-9+*]+", " ", _folded(text)).strip()
    found = {name for name, pattern in _WORDS.items() if re.search(pattern, said)}
    if "FLAIR" in found:
        found -= {"T2"} if not re.search(r"t1 ?flair|flair ?t1", said) else {"FLAIR"}
    if "ADC" in found:
        found.discard("DIFFUSION")
    if "SUSCEPTIBILITY" in found:
        found.discard("T2")
    if _LATE_ARTERIAL.search(said):
        found.discard("DELAYED")
    without = re.search(_WITHOUT, said) is not None
    rest = re.sub(rf"(?:{_WITHOUT})(?: ?(?:iv )?(?:contrast[a-z]*|km|gd|ce))?", " ", said)
    with_ = re.search(_WITH, rest) is not None
    return Named(
        weightings=tuple(each for each in _WEIGHTINGS if each in found),
        contrast=tuple(value for value, holds in ((True, with_), (False, without)) if holds),
        phases=tuple(each for each in _PHASES if each in found),
        others=tuple(each for each in ("OTHER", "LOCALISER", "MADE") if each in found),
    )


def content_of(word: str, modality: str) -> Content | None:
    """What an author means who names an input of a model so ("T1c", "artery", "hbv"); None for no such word."""
    said = named(word)
    if modality == "CT":
        if len(said.phases) == 1:
            return Content[said.phases[0]]
        return Content.NATIVE if said.contrast == (False,) and not said.phases else None
    if modality != "MR" or len(said.weightings) != 1:
        return None
    weighting = said.weightings[0]
    if weighting == "T1":
        return {(True,): Content.T1C, (False,): Content.T1, (): Content.T1}.get(said.contrast)
    return {"T2": Content.T2, "FLAIR": Content.FLAIR, "PD": Content.PD, "ADC": Content.ADC,
            "DIFFUSION": Content.HIGH_B}.get(weighting)


def evidence(header: Header, wanted: Content, modality: str, *, agent_tells: bool = True) -> Evidence:
    """Why an image of that modality agrees with what is wanted. Raises Unfit.

    agent_tells: False where every series of the study names a contrast agent, also those before it was given.
    """
    name = name_of(header)
    said = named(name)
    if "LOCALISER" in said.others and wanted is not Content.ADC:
        raise Unfit(f"its name says that it is a localiser or a calibration ({name})")
    if modality == "PT":
        return _of_pet(header)
    if "MADE" in said.others:
        raise Unfit(f"its name says that it was made of other images ({name})")
    if wanted in (Content.SUV, Content.ACTIVITY):
        raise Unfit(f"{wanted.value} is nothing that {modality} shows")
    if wanted is Content.ANY:
        return Evidence(certain=True)
    if wanted in (Content.NATIVE, *_DELAYS):
        return _of_phase(wanted, said, name, _delay_s(header), contrast_said(header, agent_tells=agent_tells))
    if modality != "MR":
        raise Unfit(f"{wanted.value} is nothing that {modality} shows")
    if wanted in (Content.ADC, Content.HIGH_B, Content.LOW_B):
        return _of_diffusion(header, wanted, said, name)
    return _of_weighting(header, wanted, said, name, contrast_said(header, agent_tells=agent_tells))


def name_of(header: Header) -> str:
    """What people call the series: description and protocol, and the sequence where they say no weighting."""
    words = [str(header.get(keyword) or "") for keyword in _NAMES]
    description, protocol, sequence = words
    for text in (description, f"{description} {protocol}", f"{description} {protocol} {sequence}"):
        said = named(text)
        if said.weightings or said.others or said.phases:
            return text.strip()
    return " ".join(word for word in words if word)


def contrast_said(header: Header, *, agent_tells: bool = True) -> tuple[bool | None, str]:
    """Whether contrast medium was given, None when nothing says; and who says it, or that they contradict.

    The protocol's name is that of the whole examination on many scanners ("with and without contrast"): it is asked
    only where the series has no description.
    """
    names = str(header.get("SeriesDescription") or header.get("ProtocolName") or "")
    in_names = named(names).contrast
    agent = str(header.get("ContrastBolusAgent") or "").strip()
    given = agent_tells and agent.casefold() not in _NO_AGENT
    if len(in_names) == 2:
        return None, "its name says both with and without contrast medium"
    if in_names == (False,) and given:
        return None, f"its name says without contrast medium, Contrast/Bolus Agent says {agent[:32]}"
    if in_names:
        return in_names[0], f"its name says {'with' if in_names[0] else 'without'} contrast medium"
    return (True, AGENT_GIVEN) if given else (None, "")


def weighting_by_times(header: Header) -> str:
    """The weighting that echo, repetition and inversion time (ms) give; "" where they decide nothing.

    The bounds are those of textbooks (short TE below 40 ms, long above 60; short TR below 1200 ms, long above 1800),
    and leave out what lies between.
    """
    echo, repetition, inversion = (_number(header, each) for each in ("EchoTime", "RepetitionTime", "InversionTime"))
    sequence = _values(header.get("ScanningSequence"))
    if echo is None or repetition is None or "EP" in sequence:
        return ""
    if inversion:
        if inversion >= 1500 and echo >= 60:
            return "FLAIR"
        return "STIR" if inversion < 300 and echo >= 15 else "T1" if inversion < 1500 and echo <= 40 else ""
    if "GR" in sequence:
        return "T1" if "SE" not in sequence and echo <= 8 and "SP" in _values(header.get("SequenceVariant")) else ""
    if repetition <= 1200 and echo <= 40:
        return "T1"
    if repetition < 1800:
        return ""
    return "T2" if echo >= 60 else "PD" if echo <= 40 else ""


def b_value(header: Header) -> float | None:
    """The diffusion weighting in s/mm2, from (0018,9087) or where GE, Siemens and Philips keep it."""
    if (value := _number(header, "DiffusionBValue")) is not None:
        return value
    for group, element in _PRIVATE_B:
        kept = header.get(f"({group:04x},{element:04x})")
        if kept is None and not isinstance(header, dict):
            element_found = header.get((group, element))
            kept = getattr(element_found, "value", None)
        first = _values(kept)[:1]
        if first and (found := numbers(first[0], 1)) is not None:
            return found[0] % 100000  # GE adds 1e9 to what it shows
    return None


def is_derived(header: Header) -> bool:
    """Image Type (0008,0008), value 1."""
    return "DERIVED" in _values(header.get("ImageType"))[:1]


def _of_weighting(
    header: Header, wanted: Content, said: Named, name: str, contrast: tuple[bool | None, str]
) -> Evidence:
    weighting = "T1" if wanted in (Content.T1, Content.T1C) else wanted.value
    times = weighting_by_times(header)
    kinds = set(said.weightings)
    if "OTHER" in said.others or "ADC" in _values(header.get("ImageType")):
        raise Unfit(f"it shows something else ({name or 'Image Type ADC'})")
    if kinds and weighting not in kinds and not (weighting == "FLAIR" and times == "FLAIR" and kinds == {"T2"}):
        raise Unfit(f"its name says {' and '.join(said.weightings)} ({name})")
    if times and times != weighting and not (kinds == {"FLAIR"} == {weighting} and times == "T2"):
        raise Unfit(f"its times ({_times(header)}) say {times}{f', its name {weighting}' if kinds else ''}")
    if len(kinds) > 1 and times != weighting:
        raise Unfit(f"its name says {' and '.join(said.weightings)}, and its times do not decide ({name})")
    if not kinds and not times:
        raise Unfit("neither its name nor its times say what it shows")
    reasons = [f"its name says {weighting}"] * (weighting in kinds)
    reasons += [f"its times ({_times(header)}) say {times}"] * bool(times)
    given, why = contrast
    if given is None and why:
        raise Unfit(why)
    if wanted is Content.T1C and not given:
        raise Unfit(why or "nothing says that contrast medium was given")
    if wanted is Content.T1 and given:
        raise Unfit(why)
    named_so = given is not None and why != AGENT_GIVEN
    certain = weighting in kinds and (named_so or weighting != "T1")
    if wanted not in (Content.T1, Content.T1C) and given:
        certain = False  # after contrast medium it serves, where there is none before
    return Evidence(certain=certain, reasons=(*reasons, *([why] if why else [])))


def _of_diffusion(header: Header, wanted: Content, said: Named, name: str) -> Evidence:
    is_map = "ADC" in said.weightings or "ADC" in _values(header.get("ImageType"))
    if wanted is Content.ADC:
        if "OTHER" in said.others or not is_map:
            raise Unfit(f"nothing says that it is an ADC map ({name})")
        return Evidence(certain=True, reasons=("it says that it is an ADC map",))
    if is_map:
        raise Unfit("it is an ADC map")
    value = b_value(header)
    if value is None:
        written = re.search(r"\bb ?=? ?(\d{2,4})\b", re.sub(r"[_\-]+", " ", name.lower()))
        value = float(written[1]) if written else None
    if value is None:
        raise Unfit(f"nothing says its b-value ({name})")
    if (value < HIGH_B) if wanted is Content.HIGH_B else (value > LOW_B):
        raise Unfit(f"its b-value is {value:g} s/mm2")
    return Evidence(certain=True, reasons=(f"its b-value is {value:g} s/mm2",))


def _of_phase(
    wanted: Content, said: Named, name: str, delay: float | None, contrast: tuple[bool | None, str]
) -> Evidence:
    given, why = contrast
    if len(said.phases) > 1:
        raise Unfit(f"its name says {' and '.join(said.phases).lower()} ({name})")
    if given is None and why:
        raise Unfit(why)
    if wanted is Content.NATIVE:
        if said.phases or given:
            raise Unfit(why or f"its name says {said.phases[0].lower()} ({name})")
        return Evidence(certain=given is False, reasons=(why or "nothing says that contrast medium was given",))
    if given is False:
        raise Unfit(why)
    low, high = _DELAYS[wanted]
    if said.phases and said.phases[0].lower() != wanted.value:
        raise Unfit(f"its name says {said.phases[0].lower()} ({name})")
    if delay is not None and not low <= delay <= high:
        raise Unfit(f"it was acquired {delay:.0f} s after the injection began")
    if said.phases:
        return Evidence(certain=True, reasons=(f"its name says {wanted.value}",))
    fitting = [phase for phase, (first, last) in _DELAYS.items() if delay is not None and first <= delay <= last]
    if fitting == [wanted]:
        return Evidence(reasons=(f"it was acquired {delay:.0f} s after the injection began",))
    raise Unfit(f"nothing says that it is {wanted.value} ({name})" if not fitting else
                    f"{delay:.0f} s after the injection began it may be {' or '.join(fitting)}")


def _of_pet(header: Header) -> Evidence:
    corrected = _values(header.get("CorrectedImage"))
    if corrected and "ATTN" not in corrected:
        raise Unfit("it is not corrected for attenuation")
    return Evidence(certain="ATTN" in corrected, reasons=("it is corrected for attenuation",) * ("ATTN" in corrected))


def _delay_s(header: Header) -> float | None:
    began, acquired = (_seconds(header.get(each)) for each in ("ContrastBolusStartTime", "AcquisitionTime"))
    return acquired - began if began is not None and acquired is not None and acquired >= began else None


def _seconds(value: Any) -> float | None:
    found = re.fullmatch(r"(\d{2})(\d{2})(\d{2}(?:\.\d+)?)", str(value or "").strip())
    return None if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def _times(header: Header) -> str:
    shown = (("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime"))
    return ", ".join(f"{word} {value:g}" for word, key in shown if (value := _number(header, key)) is not None)


def _number(header: Header, keyword: str) -> float | None:
    found = numbers(header.get(keyword), 1)
    return None if found is None else found[0]


def _values(value: Any) -> list[str]:
    several: Iterable[Any] = value if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) else (
        [] if value is None else str(value).split("\\"))
    return [str(each).strip().upper() for each in several]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
