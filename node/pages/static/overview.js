// The charts of the overview. The same figures stand in the table below them.
"use strict";

(() => {
  const box = document.querySelector("[data-charts]");
  if (!box || !window.uPlot) return;
  const words = box.dataset;
  const charts = new Map();
  let days = 1, shown = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, name, more) => ({ label, stroke: colour(name), width: 2, points: { show: false }, ...more });
  const figure = (_plot, value) => (value === null || value === undefined ? "–" : Math.round(value * 10) / 10);
  const steps = { paths: uPlot.paths.stepped({ align: 1 }) };

  const plans = {
    received: () => [[line(words.images, "--busy", steps), line(words.studies, "--warning", { ...steps, dash: [6, 4], scale: "studies" })],
      (figures) => [figures.images, figures.studies]],
    jobs: () => [[line(words.made, "--good", steps), line(words.refused, "--warning", { ...steps, dash: [6, 4] }), line(words.failed, "--bad", { ...steps, dash: [2, 3] })],
      (figures) => [figures.jobs.made, figures.jobs.refused, figures.jobs.failed]],
    latency: () => [[line(`${words.median} (${words.minutes})`, "--busy", { points: { show: true, size: 5 } }), line(`${words.p95} (${words.minutes})`, "--bad", { dash: [6, 4], points: { show: true, size: 5 } })],
      (figures) => [figures.latency.median, figures.latency.p95].map((row) => row.map((value) => (value === null ? null : value / 60)))],
  };
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "short", hour: "2-digit", minute: "2-digit" });
  const axes = (two) => {
    const drawn = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui" };
    const hour = new Intl.DateTimeFormat(document.documentElement.lang, days === 1 ? { hour: "2-digit", minute: "2-digit" } : { month: "numeric", day: "numeric" });
    const found = [{ ...drawn, values: (_plot, at) => at.map((each) => hour.format(new Date(each * 1000))) }, { ...drawn, size: 48 }];
    if (two) found.push({ ...drawn, side: 1, scale: "studies", size: 40, grid: { show: false } });
    return found;
  };
  const from0 = { range: (_plot, _low, high) => [0, Math.max(high || 0, 1) * 1.05] };

  const draw = () => {
    if (!shown) return;
    for (const place of box.querySelectorAll("[data-chart]")) {
      const [lines, take] = plans[place.dataset.chart]();
      charts.get(place)?.destroy();
      for (const each of lines) each.value = figure;
      charts.set(place, new uPlot({
        width: place.clientWidth, height: 190, series: [{ label: words.time, value: (_plot, at) => (at ? clock.format(new Date(at * 1000)) : "–") }, ...lines],
        axes: axes(place.dataset.chart === "received"), scales: { y: from0, studies: from0 }, cursor: { drag: { x: false, y: false } },
      }, [shown.at, ...take(shown)], place));
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
