"""The goals of reliability and security that radnode is measured against: one row of docs/reliability.md each.

A row takes its figures from the file that its command writes (support.figures). `missing` is said where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RUN = "RADNODE_TEST_RESULTS=docs/measured .venv/bin/python"
BENCH = f"{RUN} tests/bench/"
FAULTS = f"{RUN} -m pytest tests/faults/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One row. number: of the goal; several rows may share it. figures: the file's name, without one nothing can be
    measured yet; said: the figures in words; reached: whether they are the goal's or better."""

    number: int
    what: str
    goal: str
    figures: str = ""
    command: str = ""
    missing: str = "not measured"
    said: Callable[[Mapping[str, Any]], str] = lambda _: ""
    reached: Callable[[Mapping[str, Any]], bool] = lambda _: False


def _tests(number: int, name: str, what: str, goal: str, fewest: int) -> Goal:
    """A row of tests that show a goal together. fewest: so many must have passed, and none failed or skipped."""
    return Goal(
        number=number, what=what, goal=goal, figures=f"tests-{name}", command="make goals",
        said=lambda f: f"{f['passed']} of {f['passed'] + f['failed'] + f['skipped']} tests passed"
                       + (f", {f['skipped']} skipped" if f["skipped"] else ""),
        reached=lambda f: f["passed"] >= fewest and not f["failed"] and not f["skipped"],
    )  # fmt: skip


def _rate(associations: str, least: int) -> Goal:
    return Goal(
        number=4, what=f"Durable intake of 0.5 MB images, associations: {associations}", figures="ingest",
        goal=f"≥ {least} images/s", command=f"{BENCH}ingest.py",
        said=lambda f: f"{f['images_per_second'][associations]['radnode']:.0f} images/s, median of "
                       f"{len(f['all_rounds'][associations]['radnode'])} rounds (Orthanc, beside it: "
                       f"{f['images_per_second'][associations]['Orthanc']:.0f})",
        reached=lambda f: f["images_per_second"][associations]["radnode"] >= least,
    )  # fmt: skip


def _volume(size: str, least: int) -> Goal:
    return Goal(
        number=4, what=f"Durable intake of objects of {size}, one association", figures="ingest-large",
        goal=f"≥ {least} MB/s", command=f"{BENCH}ingest.py",
        said=lambda f: f"{f['mb_per_second'][size]:.0f} MB/s, median of {len(f['all_rounds'][size])} rounds",
        reached=lambda f: f["mb_per_second"][size] >= least,
    )


GOALS = (
    Goal(
        number=1, what="SIGKILL at named places and at any moment: acknowledged images lost", figures="kills",
        goal="0 of 50,000 in 1,000 kills", command=f"RADNODE_TEST_KILLS=1000 {FAULTS}test_kill_anytime.py",
        said=lambda f: f"{f['lost']} of {f['acknowledged']:,} in {sum(f['kills'].values()):,} kills, "
                       f"{f['series']} series with one SEG and one SR each, {f['runs']} runs by other seeds since "
                       f"{f['since']}",
        reached=lambda f: f["lost"] == 0 and f["acknowledged"] >= 50_000 and sum(f["kills"].values()) >= 1000,
    ),
    Goal(
        number=1, what="SIGKILL to receivers, workers, machines and head of a cluster: acknowledged images lost",
        figures="kills-cluster", goal="0; each series answered once",
        command=f"RADNODE_TEST_KILLS=63 {FAULTS}test_kill_cluster.py",
        said=lambda f: f"{f['lost']} of {f['acknowledged']:,} in {sum(f['kills'].values()):,} kills, {f['in_jobs']} of "
                       f"them while jobs ran, {f['series']} series with one SEG and one SR each",
        reached=lambda f: f["lost"] == 0 and sum(f["kills"].values()) >= 63,
    ),
    Goal(
        number=1, what="The fault suite on a cluster: two receivers, PostgreSQL, a Ray head with three machines",
        figures="cluster/faults", goal="all pass", command="make faults-cluster",
        said=lambda f: f"{f['passed']} of {f['passed'] + f['failed'] + f['error']} tests passed; {f['skipped']} are "
                       "about one machine, or have databases or a cluster of their own",
        reached=lambda f: f["passed"] >= 40 and not f["failed"] and not f["error"],
    ),
    _tests(2, "ledger", "The ledger balances at every instant while images arrive, and after a crash at every point",
           "difference 0", 20),
    Goal(
        number=2, what="Balance of the ledger over a million images", figures="ledger_balance",
        goal="< 100 ms, median", command=f"{BENCH}ledger_balance.py",
        said=lambda f: f"{f['median_ms']:.0f} ms over {f['instances']:,}",
        reached=lambda f: f["median_ms"] < 100 and f["instances"] >= 1_000_000,
    ),
    Goal(
        number=3, what="Power cuts, by a model that forgets what was not flushed: broken promises",
        figures="power_cut", goal="0 in 10,000 histories",
        command=f"RADNODE_TEST_HISTORIES=10000 {FAULTS}test_power_cut.py",
        said=lambda f: f"0 in {f['histories']:,} histories ({f['seconds']:.0f} s)",
        reached=lambda f: f["histories"] >= 10_000,
    ),
    _rate("1", 200),
    _rate("4", 350),
    _volume("27 MB", 400),
    _volume("512 MB", 500),
    Goal(
        number=5, what="C-STORE answers at 50 images/s of 0.5 MB while a model saturates one core, 99th percentile",
        goal="≤ 25 ms", figures="answers", command=f"{BENCH}answers.py",
        said=lambda f: f"{f['p99_ms']:.1f} ms (median {f['median_ms']:.1f} ms, without the model "
                       f"{f['alone']['p99_ms']:.1f} ms) over {f['images']:,} images, {f['rate']:.0f} a second",
        reached=lambda f: f["p99_ms"] <= 25 and f["rate"] >= 49 and f["images"] >= 3000,
    ),
    Goal(
        number=6, what="Memory of the receiver while ten objects of 512 MB arrive at once", figures="ingest",
        goal="≤ 200 MiB", command=f"{BENCH}ingest.py",
        said=lambda f: f"{f['large_objects']['peak_mib']:.0f} MiB at most ({f['large_objects']['idle_mib']:.0f} idle)",
        reached=lambda f: f["large_objects"]["peak_mib"] <= 200 and f["large_objects"]["objects"] >= 10,
    ),
    Goal(
        number=7, what="C-ECHO of a known peer, 99th percentile, while hostile peers do all they can",
        figures="attack", goal="≤ 1 s; memory + ≤ 64 MiB; over in ≤ 15 s",
        command=f"{FAULTS}test_attack.py",
        said=lambda f: f"{f['echo_p99_during_s']:.2f} s ({f['echo_p99_before_s']:.2f} s before); "
                       f"+ {f['memory_grown_mib']:.0f} MiB; over in {f['recovered_s']:.0f} s; "
                       f"{f['silent_in_tls']} silent in TLS among them",
        reached=lambda f: f["echo_p99_during_s"] <= 1 and f["memory_grown_mib"] <= 64 and f["recovered_s"] <= 15,
    ),
    Goal(
        number=8, what="Cases of [the catalogue](catalogue.md) of bad and odd inputs that a test shows",
        figures="catalogue", goal="all, of 150 and more", command="make catalogue",
        said=lambda f: f"{f['tested']} of {f['cases']}, {f['passed']} of {f['tests']} tests passed",
        reached=lambda f: f["cases"] >= 150 and f["tested"] == f["cases"] and f["passed"] == f["tests"],
    ),
    *(
        Goal(
            number=9, what=f"Fuzzing of {name}: undeclared exceptions, hangs", figures=f"fuzz-{name}",
            goal="0 in 2,000,000 executions", command="make fuzz",
            said=lambda f: f"0 in {f['executions']:,}, {f['runs']} runs since {f['since']}",
            reached=lambda f: f["executions"] >= 2_000_000,
        )
        for name in ("headers", "routes", "intake", "dicomweb")
    ),
    Goal(
        number=10, what="Histories of ledger, jobs and deliveries with zombies, restarts and clock jumps: rules broken",
        figures="histories", goal="0 in 20,000 histories of 50 steps",
        command=f"RADNODE_TEST_HISTORIES=20000 {FAULTS}test_job_histories.py",
        said=lambda f: f"0 in {f['histories']:,} histories, {f['steps']:,} steps, {f['runs']} runs by other seeds "
                       f"since {f['since']} ({f['seconds']:,} s)",
        reached=lambda f: f["histories"] >= 20_000 and f["steps"] >= 50 * f["histories"],
    ),
    Goal(
        number=11, what="Results through faults of PACS and network: objects lost or doubled", figures="send_faults",
        goal="0 in 500 faults", command=f"RADNODE_TEST_SEND_FAULTS=500 {FAULTS}test_send_faults.py",
        said=lambda f: f"{f['lost']} lost, {f['doubles']} doubled of {f['objects']:,} in {f['faults']:,} faults; "
                       f"{f['confirmed']:,} confirmed, {f['dead_and_visible']} given up and listed",
        reached=lambda f: f["lost"] == f["doubles"] == f["conflicts"] == 0 and f["faults"] >= 500,
    ),
    Goal(
        number=12, what="Results confirmed within 5 minutes of being made, in a soak without faults", figures="soak",
        goal="≥ 99.9 %; all confirmed or an alarm", command=f"RADNODE_TEST_SOAK_MINUTES=480 {BENCH}soak.py",
        said=lambda f: f"{f['confirmed_in_time']:,} of {f['results']:,} in {f['minutes']:g} min, the slowest after "
                       f"{f['slowest_confirmation_s']:.0f} s; {f['unconfirmed']} neither confirmed nor given up",
        reached=lambda f: f["results"] >= 1000 and f["confirmed_in_time"] >= 0.999 * f["results"]
                          and not f["unconfirmed"] and f["kills"] == 0,
    ),
    _tests(13, "outage", "PACS away for 12 hours, on a clock set by hand, in three ways: nothing is lost, the first "
                         "result is sent within a quarter of an hour of its return", "0 lost; ≤ 15 min", 3),
    Goal(
        number=14, what="Disk full: partial objects, answers other than A700, time until images are taken again",
        figures="full_disk", goal="0; 0; ≤ 10 s, without a restart", command="make goals",
        said=lambda f: f"{f['partial']} partial, {f['otherwise']} of {f['refused']} refusals otherwise, "
                       f"{f['accepting_after_s']:.2f} s",
        reached=lambda f: not f["partial"] and not f["otherwise"] and f["refused"] and f["accepting_after_s"] <= 10,
    ),
    Goal(
        number=15, what="Start to the first association, with stored images; interrupted jobs at work again",
        figures="restart", goal="≤ 3 s with 100,000; ≤ 35 s", command=f"{BENCH}restart.py",
        said=lambda f: f"{f['accepting_s']:.1f} s with {f['instances']:,} in the tables and {f['files']:,} files of "
                       f"{f['file_bytes']:,} bytes; {f['resumed']} of {f['interrupted']} jobs after "
                       f"{f['resumed_s']:.1f} s",
        reached=lambda f: f["accepting_s"] <= 3 and f["instances"] >= 100_000 and f["files"] >= 100_000
                          and f["resumed"] == f["interrupted"] > 0 and f["resumed_s"] <= 35,
    ),
    *(
        Goal(
            number=16, what=f"Workers frozen past their lease that come back, on {name}: effects of a stale token",
            figures=f"zombies-{name}", goal="0 in 1,000 trials",
            command=f"RADNODE_TEST_ZOMBIES=1000 {FAULTS}test_zombie_workers.py",
            said=lambda f: f"0 in {f['trials']:,} trials, {f['overtaken']:,} of them overtaken",
            reached=lambda f: f["trials"] >= 1000,
        )
        for name in ("sqlite", "postgresql")
    ),
    Goal(
        number=17, what="Generated series with slices missing, doubled, tilted, out of step: read without a statement",
        figures="damaged_series", goal="0 of 500; every inner gap, copy and counted end gap found",
        command="make goals",
        said=lambda f: f"{f['silent']} of {f['series']}; found and named: "
                       + ", ".join(f"{each['found']} of {each['series']} {kind}" for kind, each in f["kinds"].items())
                       + f"; {f['whole_refused']} of {f['whole']} whole ones refused; seed {f['seed']}",
        reached=lambda f: f["series"] >= 500 and not f["silent"] and not f["whole_refused"]
                          and all(each["found"] == each["series"] for each in f["kinds"].values()),
    ),
    _tests(18, "orientation", "A mark comes back at its place from all 48 turns of a patient, in SEG and label map, "
                              "by our decoder and dcmqi", "48 of 48", 48),
    _tests(19, "mammograms", "Choice of mammograms: each case of the table as specified", "all, of 60 and more", 60),
    _tests(20, "provenance", "Every form of result carries the ten facts about its making, and one byte changes the "
                             "digest of the inputs", "100 %", 15),
    _tests(21, "validators", "Every form over every kind of source is accepted by dciodvfy and the others that know "
                             "it", "0 errors", 150),
    _tests(22, "tls", "TLS: versions, ciphers and certificates that must be refused are", "8 cases and more", 8),
    _tests(22, "names", "Names of patients in logs, metrics and messages", "0", 4),
    _tests(22, "roles", "Who may do what at each address of the API (each role at each endpoint)", "100 %", 3),
    Goal(
        number=22, what="Calls that schemathesis makes up, as each role and as a stranger: HTTP 5xx, answers that were "
                        "not announced; patients read without permission", figures="api-fuzz", goal="0 in 10,000",
        command="make api-fuzz",
        said=lambda f: f"0 in {f['calls']:,}, seed {f['seed']}",
        reached=lambda f: f["calls"] >= 10_000,
    ),
    _tests(23, "supply", "Supply chain: everything locked by hash, bill of materials complete, one wheel from two "
                         "builds", "100 %", 5),
    Goal(
        number=23, what="Known vulnerabilities of the locked packages that nobody has decided about",
        figures="vulnerabilities", goal="0", command="make audit",
        said=lambda f: f"{f['undecided']} of {f['known']} that are known in {f['packages']} packages",
        reached=lambda f: f["undecided"] == 0,
    ),
    Goal(
        number=24, what="Soak: growth of memory, descriptors, threads, 99th percentile of the answers",
        figures="soak-kills", goal="8 h at 20 images/s with a kill each hour: < 1 MiB/h, ± 5, ± 5, < 10 %",
        command=f"RADNODE_TEST_SOAK_MINUTES=480 {BENCH}soak.py --kill-every 60",
        said=lambda f: f"in {f['minutes']:g} min, {f['images']:,} images, {f['images_per_second']:.0f}/s, "
                       f"{f['kills']} kills: {f['memory_mib_per_hour']:+.1f} MiB/h, descriptors "
                       f"{f['descriptors_grown']:+d}, threads {f['threads_grown']:+d}, answers "
                       f"{f['p99_drift_percent']:+.0f} %",
        reached=lambda f: f["minutes"] >= 480 and f["images_per_second"] >= 19 and f["kills"] >= 7
                          and f["memory_mib_per_hour"] < 1 and abs(f["descriptors_grown"]) <= 5
                          and abs(f["threads_grown"]) <= 5 and f["p99_drift_percent"] < 10,
    ),
    Goal(
        number=25, what="A day's studies sent again, and again after a restart: new jobs, results sent",
        figures="replay", goal="0; 0", command=f"{BENCH}replay.py",
        said=lambda f: f"{f['new_jobs']}; {f['new_sends']} ({f['studies']} studies, {f['images']:,} images, sent "
                       f"{f['times']} times more)",
        reached=lambda f: f["new_jobs"] == f["new_sends"] == 0 and f["studies"] >= 100 and f["times"] >= 2,
    ),
    _tests(26, "alarms", "Faults of results, configuration and resources: each is an alarm and metric within a minute",
           "≤ 60 s", 15),
)  # fmt: skip
