// Draws the table that a chart names: its days, and of each the mean with the lowest and the highest.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const charts = new Map();

  const draw = (place) => {
    charts.get(place)?.destroy();
    const rows = [...document.getElementById(place.dataset.chart).tBodies[0].rows].reverse();
    const number = (text) => (text === "" ? null : Number(text));
    const days = rows.map((row) => Date.parse(`${row.dataset.day}T00:00:00Z`) / 1000);
    const of = (name) => rows.map((row) => number(row.dataset[name]));
    const [mean, low, high] = [of("value"), of("low"), of("high")];
    if (mean.every((each) => each === null)) { place.hidden = true; return; }
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const shade = (chart) => {
      const [first, last] = (place.dataset.baseline || "").split("/").map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
      if (!(last >= first)) return;
      const from = Math.max(chart.valToPos(first, "x", true), chart.bbox.left);
      const to = Math.min(chart.valToPos(last + 86400, "x", true), chart.bbox.left + chart.bbox.width);
      if (to <= from) return;
      chart.ctx.save();
      chart.ctx.fillStyle = colour("--busy-on");
      chart.ctx.fillRect(from, chart.bbox.top, to - from, chart.bbox.height);
      chart.ctx.restore();
    };
    const wide = low.some((each) => each !== null);
    const points = { show: true, size: 5 };
    charts.set(place, new uPlot({
      width: Math.max(place.clientWidth, 280), height: 240,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      hooks: { drawClear: [shade] },
      axes: [{ ...axis, values: (_, at) => at.map((each) => new Date(each * 1000).toISOString().slice(5, 10)) }, { ...axis, size: 64 }],
      scales: wide ? {} : { y: { range: [0, 100] } },
      series: [
        { label: place.dataset.day, value: (_, at) => (at === null ? "–" : new Date(at * 1000).toISOString().slice(0, 10)) },
        { label: wide ? place.dataset.mean : "%", stroke: colour("--accent"), width: 2, points },
        ...(wide ? [
          { label: place.dataset.low, stroke: colour("--soft"), dash: [4, 4], points: { show: false } },
          { label: place.dataset.high, stroke: colour("--soft"), dash: [4, 4], points: { show: false } },
        ] : []),
      ],
    }, wide ? [days, mean, low, high] : [days, mean], place));
  };

  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  all();
  document.addEventListener("radnode:theme", all);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
})();
