// The charts of the overview. The same figures stand in the table below them.
"use strict";

(() => {
  const box = document.querySelector("[data-charts]");
  if (!box || !window.uPlot) return;
  const words = box.dataset, page = document.documentElement.lang;
  const tongue = navigator.languages.find((each) => each.split("-")[0] === page) || page;
  const charts = new Map();
  let days = 1, shown = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, name, more) => ({ label, stroke: colour(name), width: 2, points: { show: false }, ...more });
  const figure = (value) => (value === null || value === undefined ? "–" : Math.round(value * 10) / 10);
  const bars = (name, fill) => ({ paths: uPlot.paths.bars({ size: [0.8, 40], align: 1 }), width: 1, fill: colour(fill || name) });
  const sums = (rows) => rows.reduceRight((made, row) => [made.length ? row.map((value, at) => value + made[0][at]) : row, ...made], []);

  // Each gives lines, what is drawn, and what is said of it: bars that stand on each other are drawn as sums.
  const plans = {
    received: (figures) => [
      [line(words.images, "--busy", bars("--busy")), line(words.studies, "--warning", { dash: [6, 4], scale: "studies", points: { show: true, size: 5 } })],
      [figures.images, figures.studies]],
    jobs: (figures) => {
      const rows = [figures.jobs.made, figures.jobs.refused, figures.jobs.failed];
      return [[line(words.made, "--good", bars("--good")), line(words.refused, "--focus", bars("--focus")), line(words.failed, "--bad", bars("--bad"))], sums(rows), rows];
    },
    latency: (figures) => [
      [line(`${words.median} (${words.minutes})`, "--busy", { points: { show: true, size: 6 } }), line(`${words.p95} (${words.minutes})`, "--bad", { dash: [6, 4], points: { show: true, size: 6 } })],
      [figures.latency.median, figures.latency.p95].map((row) => row.map((value) => (value === null ? null : value / 60)))],
  };
  const clock = new Intl.DateTimeFormat(tongue, { weekday: "short", hour: "2-digit", minute: "2-digit" });
  const axes = (two) => {
    const drawn = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui" };
    const hour = new Intl.DateTimeFormat(tongue, days === 1 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { month: "numeric", day: "numeric" });
    const found = [{ ...drawn, values: (_plot, at) => at.map((each) => hour.format(new Date(each * 1000))) }, { ...drawn, size: 48 }];
    if (two) found.push({ ...drawn, side: 1, scale: "studies", size: 40, grid: { show: false } });
    return found;
  };
  const from0 = { range: (_plot, _low, high) => [0, Math.max(high || 0, 1) * 1.05] };

  const draw = () => {
    if (!shown) return;
    for (const place of box.querySelectorAll("[data-chart]")) {
      const [lines, drawn, said] = plans[place.dataset.chart](shown);
      charts.get(place)?.destroy();
      lines.forEach((each, row) => { each.value = (_plot, _value, _series, at) => (at === null ? "–" : figure((said || drawn)[row][at])); });
      charts.set(place, new uPlot({
        width: place.clientWidth, height: 190, series: [{ label: words.time, value: (_plot, at) => (at ? clock.format(new Date(at * 1000)) : "–") }, ...lines],
        axes: axes(place.dataset.chart === "received"), cursor: { drag: { x: false, y: false } },
        scales: { x: { range: () => [shown.at[0], shown.at.at(-1) + 3600] }, y: from0, studies: from0 },
      }, [shown.at, ...drawn], place));
    }
  };
  const take = (figures) => { shown = figures; draw(); };
  const ask = () => fetch(`/overview/series?days=${days}`).then((answer) => (answer.ok ? answer.json() : null)).then((figures) => figures && take(figures), () => { /* the badge says that there is no connection */ });

  document.addEventListener("radnode:series", (event) => { if (days === 1) take(event.detail); });
  document.addEventListener("radnode:theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 200); });
  for (const button of box.querySelectorAll("[data-days]")) {
    button.addEventListener("click", () => {
      days = Number(button.dataset.days);
      for (const each of box.querySelectorAll("[data-days]")) each.setAttribute("aria-pressed", String(each === button));
      ask();
      htmx.ajax("GET", `/overview/hours?days=${days}`, { target: "[data-hours]", swap: "innerHTML" });
    });
  }
  ask();
})();
