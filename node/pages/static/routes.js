// Routes are ordered by dragging, and a dropped file is tried. Both can be done by buttons as well.
"use strict";

(() => {
  let dragged = null;
  const route = (event) => event.target.closest && event.target.closest(".route[draggable]");
  const clear = () => { for (const each of document.querySelectorAll(".route.over")) each.classList.remove("over"); };

  document.addEventListener("dragstart", (event) => {
    dragged = route(event);
    if (!dragged) return;
    dragged.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.route);
  });
  document.addEventListener("dragend", () => { if (dragged) dragged.classList.remove("dragged"); dragged = null; clear(); });
  document.addEventListener("dragover", (event) => {
    const over = dragged && route(event);
    if (!over) return;
    event.preventDefault();
    clear();
    if (over !== dragged) over.classList.add("over");
  });
  document.addEventListener("drop", (event) => {
    const over = dragged && route(event);
    if (!over) return;
    event.preventDefault();
    const all = [...over.parentElement.children];
    if (over !== dragged) {
      htmx.ajax("POST", "/routes/order", {
        target: "#routes", swap: "outerHTML",
        values: { route: dragged.dataset.route, to: String(all.indexOf(over)), seen: over.parentElement.dataset.seen },
      });
    }
  });

  // A button that adds or removes a condition has the draft tried again.
  document.addEventListener("htmx:afterSettle", (event) => {
    const asked = event.detail.requestConfig;
    if (asked && asked.path === "/routes/form") document.body.dispatchEvent(new CustomEvent("lines"));
  });

  const BEGINNING = 900 * 1024;
  let last = null;
  const tryFile = async (place, file, source) => {
    last = file;
    const builder = document.getElementById("builder");
    const fields = new URLSearchParams(builder ? new FormData(builder) : undefined);
    if (source) fields.set("source", source);
    const form = new TextEncoder().encode(fields.toString());
    const token = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
    const shown = place.querySelector("#tried");
    try {
      const answer = await fetch(place.dataset.drop, {
        method: "POST", body: new Blob([form, file.slice(0, BEGINNING)]),
        headers: { ...token, "X-Form-Bytes": String(form.length), "Content-Type": "application/octet-stream" },
      });
      const text = await answer.text();
      if (answer.ok) shown.innerHTML = text;
      else shown.textContent = JSON.parse(text).detail;
    } catch {
      shown.textContent = document.getElementById("said").dataset.ended;
    }
  };
  const zone = (event) => event.target.closest && event.target.closest("[data-drop]");
  document.addEventListener("change", (event) => {
    const place = zone(event);
    if (!place) return;
    if (event.target.type === "file" && event.target.files[0]) tryFile(place, event.target.files[0], "");
    if (event.target.matches("[data-source]") && last) tryFile(place, last, event.target.value);
  });
  for (const [name, on] of [["dragover", true], ["dragleave", false]]) {
    document.addEventListener(name, (event) => {
      const place = !dragged && zone(event);
      if (!place) return;
      event.preventDefault();
      place.classList.toggle("over", on);
    });
  }
  document.addEventListener("drop", (event) => {
    const place = !dragged && zone(event);
    if (!place || !event.dataTransfer.files[0]) return;
    event.preventDefault();
    place.classList.remove("over");
    tryFile(place, event.dataTransfer.files[0], "");
  });
})();
