// Leafs through the pictures of one series. A picture, its overlay, its letters and its words change together or not
// at all; what the node cannot give is said in its place.
"use strict";

(() => {
  const root = document.getElementById("viewer");
  if (!root) return;
  const find = (selector) => root.querySelector(selector);
  const slices = JSON.parse(root.dataset.slices);
  const stage = find(".stage"), plate = find(".plate"), base = find(".base"), layers = find(".layers"), outlines = find(".outlines"), marks = find(".marks");
  const leaf = find("#leaf"), opacity = find("[data-opacity]"), switched = find("[data-overlay]"), broken = find(".broken"), banner = find(".banner");
  const SVG = "http://www.w3.org/2000/svg", SIZES = [512, 1024, 2048, 4096], KEPT = 80, AHEAD = 4;
  const stored = root.dataset.window ? root.dataset.window.split(",").map(Number) : null;
  let drawn = [], at = Math.floor(slices.length / 2), chosen = stored, zoom = 1, offset = [0, 0], heading = 1, shown = null, drawnAt = at;

  // What was loaded: address -> object URL; the least used goes first.
  const kept = new Map();
  const loaded = async (address, signal) => {
    const known = kept.get(address);
    if (known) { kept.delete(address); kept.set(address, known); return known; }
    const answer = await fetch(address, { signal });
    if (answer.status === 401) { location.reload(); }
    if (!answer.ok) {
      let why = answer.statusText;
      try { why = (await answer.json()).detail || why; } catch { /* the status says it */ }
      throw new Error(why);
    }
    const url = URL.createObjectURL(await answer.blob());
    kept.set(address, url);
    while (kept.size > KEPT) {
      const [oldest, old] = kept.entries().next().value;
      kept.delete(oldest);
      if (!shown || !shown.includes(old)) URL.revokeObjectURL(old);
    }
    return url;
  };
  const ready = async (url, image) => { image.src = url; await image.decode(); return image; };

  const area = () => {
    const each = slices[drawnAt], box = stage.getBoundingClientRect();
    const width = each.columns || 512, height = (each.rows || 512) * each.aspect;
    const fit = Math.min(box.width / width, box.height / height);
    return { width: width * fit, height: height * fit, box };
  };
  const size = (each) => {
    const wanted = Math.max(area().width, area().height) * zoom * (window.devicePixelRatio || 1);
    const own = Math.max(each.rows, each.columns);
    return SIZES.find((limit) => limit >= Math.min(wanted, own)) || SIZES.at(-1);
  };
  const address = (each) => `/studies/${root.dataset.study}/images/${each.id}/${each.frame}`;
  const ofPicture = (each) =>
    `${address(each)}?size=${size(each)}${chosen ? `&window=${chosen.map((value) => +value.toFixed(2)).join(",")}` : ""}&v=${each.digest}`;
  const wantedOf = (object, number) => {
    const there = object.layers[number] || [];
    return there.filter((segment) => document.querySelector(`[data-object="${drawn.indexOf(object)}"][data-segment="${segment}"]`)?.checked);
  };
  const ofLayers = (number) => switched.checked ? drawn
    .map((object) => [object, wantedOf(object, number)]).filter(([, segments]) => segments.length)
    .map(([object, segments]) => ({ object, address: `${address(slices[number])}/overlay/${object.id}?segments=${segments.join(",")}&v=${object.digest}` })) : [];

  const place = () => {
    const { width, height, box } = area();
    plate.style.width = `${width}px`;
    plate.style.height = `${height}px`;
    const x = (box.width - width * zoom) / 2 + offset[0], y = (box.height - height * zoom) / 2 + offset[1];
    plate.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    base.classList.toggle("near", zoom * width > 2 * (slices[drawnAt].columns || 1));
  };
  const say = (name, text) => { for (const each of root.querySelectorAll(`[data-said="${name}"]`)) each.textContent = text; };
  const windowOf = (button) => button.dataset.preset ? button.dataset.preset.split(",").map(Number) : stored;
  const tell = (number, lit) => {
    const each = slices[number];
    say("number", `${number + 1} / ${slices.length}${each.number === null ? "" : `  (#${each.number})`}`);
    say("place", each.place);
    say("view", each.view);
    say("window", "colour" in root.dataset ? "" : lit ? `C ${+lit[0].toFixed(1)}  W ${+lit[1].toFixed(1)}` : root.dataset.own);
    for (const side of root.querySelectorAll("[data-side]")) {
      side.textContent = each.sides ? each.sides[side.dataset.side] : side.dataset.side === "2" ? root.dataset.unclear : "";
      side.classList.toggle("unclear", !each.sides);
    }
    leaf.value = at + 1;
    leaf.setAttribute("aria-valuetext", `${number + 1} / ${slices.length} ${each.place}`);
    const named = [...root.querySelectorAll("[data-preset]")];
    const pressed = named.find((button) => String(windowOf(button)) === String(lit));
    for (const button of named) button.setAttribute("aria-pressed", String(button === pressed));
  };

  const shape = (mark) => {
    const points = mark.points, ends = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const make = (name, values) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
      return made;
    };
    if (mark.kind === "CIRCLE" && points.length === 2)
      return make("circle", { cx: points[0][0], cy: points[0][1], r: ends(points[0], points[1]) });
    if (mark.kind === "ELLIPSE" && points.length === 4) {
      const [a, b, c, d] = points, middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const turned = Math.atan2(b[1] - a[1], b[0] - a[0]) * 180 / Math.PI;
      return make("ellipse", { cx: middle[0], cy: middle[1], rx: ends(a, b) / 2, ry: ends(c, d) / 2, transform: `rotate(${turned} ${middle[0]} ${middle[1]})` });
    }
    if (mark.kind === "POINT" || mark.kind === "MULTIPOINT") {
      const arm = Math.max(slices[mark.at].columns, slices[mark.at].rows) / 60;
      return make("path", { d: points.map(([x, y]) => `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`).join("") });
    }
    return make("polyline", { points: points.map((point) => point.join(",")).join(" ") });
  };
  const outline = (number) => {
    const each = slices[number];
    marks.replaceChildren();
    marks.setAttribute("viewBox", `0 0 ${each.columns} ${each.rows}`);
    marks.setAttribute("preserveAspectRatio", "none");
    const marked = new Set();
    if (!switched.checked) return marked;
    drawn.forEach((object, which) => {
      for (const mark of object.marks.filter((one) => one.at === number)) {
        const input = document.querySelector(`[data-object="${which}"][data-mark="${mark.finding}"]`);
        if (!input?.checked) continue;
        for (const kind of ["halo", "shape"]) {
          const made = shape(mark);
          made.setAttribute("class", kind);
          if (kind === "shape") made.setAttribute("stroke", input.parentElement.querySelector("rect").getAttribute("fill"));
          marks.append(made);
        }
        const label = document.createElementNS(SVG, "text"), tall = Math.max(each.columns, each.rows) / 40;
        label.textContent = mark.finding + 1;
        label.setAttribute("x", Math.max(...mark.points.map((point) => point[0])) + tall / 3);
        label.setAttribute("y", Math.min(...mark.points.map((point) => point[1])));
        label.setAttribute("font-size", tall);
        marks.append(label);
        marked.add(object);
      }
    });
    return marked;
  };
  // What is over the picture that nobody was sent, and what its shades mean, stands on the picture.
  const legend = (number, over) => {
    const line = (kind, ...children) => {
      const made = document.createElement("p");
      made.className = kind;
      made.append(...children);
      return made;
    };
    const shades = (input) => {
      const made = document.createElementNS(SVG, "svg"), colour = input.parentElement.querySelector("rect").getAttribute("fill");
      made.setAttribute("viewBox", "0 0 10 1");
      made.setAttribute("preserveAspectRatio", "none");
      for (let step = 1; step <= 10; step += 1) {
        const one = document.createElementNS(SVG, "rect");
        for (const [key, value] of Object.entries({ x: step - 1, width: 1, height: 1, fill: colour, "fill-opacity": step / 10 })) one.setAttribute(key, value);
        made.append(one);
      }
      return made;
    };
    const unsent = [...new Set(over.filter((object) => object.shadow).map((object) => `${root.dataset.shadow}: ${object.made}`))];
    const scaled = over.filter((object) => object.scaled).flatMap((object) => wantedOf(object, number)
      .map((segment) => document.querySelector(`[data-object="${drawn.indexOf(object)}"][data-segment="${segment}"]`)));
    banner.replaceChildren(
      ...unsent.map((text) => line("unsent", text)),
      ...scaled.map((input) => line("scale", `${input.dataset.legend}: ${input.dataset.from} `, shades(input), ` ${input.dataset.to}`)));
    banner.hidden = !banner.children.length;
    fade();
  };

  const draw = async () => {
    const number = at, lit = chosen, each = slices[number];
    let picture = null, over = [], failed = "";
    try {
      picture = await loaded(ofPicture(each));
      await ready(picture, new Image());
    } catch (error) {
      failed = `${root.dataset.failed} ${error.message}`;
      picture = null;
    }
    try {
      if (picture) over = await Promise.all(ofLayers(number).map(async (one) => ({ object: one.object, image: await ready(await loaded(one.address), new Image()) })));
    } catch (error) {
      failed = `${root.dataset.notDrawn} ${error.message}`;
    }
    if (picture) base.src = picture;
    else base.removeAttribute("src");
    base.hidden = !picture;
    for (const { image } of over) { image.alt = ""; image.draggable = false; }
    const images = (are) => over.filter((one) => one.object.outlined === are).map((one) => one.image);
    // Maps above what is opaque: below it they would look as if nothing were there.
    over.sort((one, other) => one.object.scaled - other.object.scaled);
    layers.replaceChildren(...images(false));
    outlines.replaceChildren(...images(true));
    shown = [picture, ...over.map((one) => one.image.src)];
    find(".reading").hidden = true;
    broken.textContent = failed;
    broken.hidden = !failed;
    const marked = picture ? outline(number) : new Set();
    if (!picture) marks.replaceChildren();
    legend(number, [...over.map((one) => one.object), ...marked]);
    drawnAt = number;
    place();
    tell(number, lit);
    root.dataset.at = number;
  };
  const readAhead = async (signal) => {
    for (let step = 1; step <= AHEAD; step += 1) {
      const next = at + step * heading;
      if (!slices[next]) return;
      try {
        for (const one of [ofPicture(slices[next]), ...ofLayers(next).map((each) => each.address)]) await loaded(one, signal);
      } catch { return; }  // it is asked for again, and said, when it is leafed to
    }
  };
  // One picture is drawn at a time; of those that were asked for meanwhile, the last.
  let busy = false, again = false, ahead = new AbortController();
  const show = async () => {
    ahead.abort();
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await draw();
    }
    busy = false;
    ahead = new AbortController();
    readAhead(ahead.signal);
  };
  const go = (number) => {
    const next = Math.max(0, Math.min(slices.length - 1, number));
    if (next === at) return;
    heading = next > at ? 1 : -1;
    at = next;
    leaf.value = at + 1;
    show();
  };
  const scale = (factor) => {
    zoom = factor === null ? 1 : Math.max(1, Math.min(16, zoom * factor));
    if (zoom === 1) offset = [0, 0];
    place();
    show();
  };
  const level = (center, width) => {
    if ("colour" in root.dataset) return;
    const from = chosen || stored || [128, 256];
    chosen = [from[0] + center, Math.max(1, from[1] + width)];
    show();
  };
  const preset = (button) => {
    if (!button) return;
    chosen = windowOf(button);
    show();
  };

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) scale(event.deltaY < 0 ? 1.25 : 0.8);
    else if (event.deltaY) go(at + Math.sign(event.deltaY));
  }, { passive: false });
  const touches = new Map();
  let held = null;
  stage.addEventListener("pointerdown", (event) => {
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    held = { x: event.clientX, y: event.clientY, at, offset: [...offset], spread: spread() };
  });
  const spread = () => {
    const [a, b] = [...touches.values()];
    return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
  };
  stage.addEventListener("pointermove", (event) => {
    if (!held || !touches.has(event.pointerId)) return;
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (touches.size === 2) {
      const now = spread();
      if (held.spread && Math.abs(now / held.spread - 1) > 0.1) { scale(now / held.spread); held.spread = now; }
    } else if (event.pointerType === "touch" && zoom === 1) {
      go(held.at + Math.round((event.clientY - held.y) / 14));
    } else if (event.altKey || event.buttons === 4 || event.pointerType === "touch") {
      offset = [held.offset[0] + event.clientX - held.x, held.offset[1] + event.clientY - held.y];
      place();
    } else {
      const width = (chosen || stored || [128, 256])[1], pace = Math.max(width / 400, 0.1);
      level((event.clientY - held.y) * pace, (event.clientX - held.x) * pace);
      held.x = event.clientX;
      held.y = event.clientY;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => {
    touches.delete(event.pointerId);
    if (!touches.size) held = null;
  });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const width = (chosen || stored || [128, 256])[1], step = Math.max(width / 20, 1);
    const keys = event.shiftKey
      ? { ArrowUp: () => level(-step, 0), ArrowDown: () => level(step, 0), ArrowLeft: () => level(0, -step), ArrowRight: () => level(0, step), "+": () => scale(1.25) }
      : { ArrowUp: () => go(at - 1), ArrowLeft: () => go(at - 1), ArrowDown: () => go(at + 1), ArrowRight: () => go(at + 1), PageUp: () => go(at - 10), PageDown: () => go(at + 10), Home: () => go(0), End: () => go(slices.length - 1), "+": () => scale(1.25), "=": () => scale(1.25), "-": () => scale(0.8), f: () => scale(null), o: () => { switched.checked = !switched.checked; show(); } };
    const act = keys[event.key] || (/^\d$/.test(event.key) && (() => preset(event.key === "0" ? find('[data-preset=""]') : root.querySelectorAll("[data-preset]:not([data-preset=''])")[event.key - 1])));
    if (!act) return;
    event.preventDefault();
    act();
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.preset !== undefined) preset(button);
    else if (button?.dataset.zoom) scale({ in: 1.25, out: 0.8, fit: null }[button.dataset.zoom]);
  });
  leaf.addEventListener("input", () => go(leaf.value - 1));
  const fade = () => {
    for (const each of [layers, ...banner.querySelectorAll("svg")]) each.style.opacity = opacity.value / 100;
  };
  opacity.addEventListener("input", fade);
  switched.addEventListener("change", show);
  document.addEventListener("change", (event) => { if (event.target.matches("[data-object]")) show(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-go]");
    if (button) { go(Number(button.dataset.go)); stage.focus({ preventScroll: true }); }
  });
  document.addEventListener("htmx:afterSettle", () => {
    const found = document.getElementById("drawn");
    if (!found || found.dataset.taken !== undefined) return;
    found.dataset.taken = "";
    drawn = JSON.parse(found.dataset.drawn);
    root.dataset.drawn = drawn.length;
    show();
  });
  const named = /^#picture-(\d+)$/.exec(location.hash);
  const wanted = named ? slices.findIndex((each) => each.id === Number(named[1])) : -1;
  if (wanted >= 0) at = wanted;
  new ResizeObserver(place).observe(stage);
  fade();
  show();
})();
