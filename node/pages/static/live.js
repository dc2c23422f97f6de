// Parts of a page that the server keeps up to date: [data-events] says where, each [data-part] inside is an event.
"use strict";

(() => {
  const root = document.querySelector("[data-events]");
  const badge = document.querySelector("[data-live-badge]");
  if (!root || !badge) return;
  const page = document.documentElement.lang;
  const lang = navigator.languages.find((each) => each.split("-")[0] === page) || page;
  const clock = new Intl.DateTimeFormat(lang, { dateStyle: "short", timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(page, { style: "short", numeric: "auto" });
  const SILENT_MS = 45000, AGAIN_MS = 10000;
  let ahead = Date.parse(root.dataset.now) - Date.now();  // of the node's clock before this one
  let known = Date.parse(root.dataset.now), heard = Date.now(), source = null, again = 0;

  const ages = () => {
    for (const each of root.querySelectorAll("time[data-ago]")) {
      const seconds = Math.max(0, (Date.now() + ahead - Date.parse(each.dateTime)) / 1000);
      const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"]
        : seconds < 129600 ? [seconds / 3600, "hour"] : [seconds / 86400, "day"];
      const text = relative.format(-(unit === "second" ? Math.floor(value / 10) * 10 : Math.round(value)), unit);
      if (each.textContent !== text) each.textContent = text;
      each.title = clock.format(new Date(each.dateTime));
    }
  };
  const show = (tone, text) => {
    if (badge.textContent === text) return;
    badge.className = `badge ${tone}`;
    badge.textContent = text;
  };
  const away = (why) => show("bad", `${why} ${clock.format(new Date(known))}`);

  const close = () => { source?.close(); source = null; };
  const lost = () => {
    close();
    away(badge.dataset.away);
    clearTimeout(again);
    again = setTimeout(open, AGAIN_MS);
    // It may be the session that ended. Asked as for events, so that asking does not prolong one.
    fetch("/api/me", { headers: { Accept: "text/event-stream" } }).then((answer) => {
      if (answer.status !== 401) return;
      clearTimeout(again);
      const link = document.createElement("a");
      link.href = `/login?then=${encodeURIComponent(location.pathname)}`;
      link.textContent = badge.dataset.ended;
      badge.className = "badge bad";
      badge.replaceChildren(link);
    }, () => { /* the node is away: tried again */ });
  };
  const open = () => {
    clearTimeout(again);
    if (source || document.hidden) return;
    heard = Date.now();
    source = new EventSource(root.dataset.events);
    for (const part of root.querySelectorAll("[data-part]")) {
      source.addEventListener(part.dataset.part, (event) => {
        heard = Date.now();
        htmx.swap(part, event.data, { swapStyle: "innerHTML" });
        ages();
      });
    }
    source.addEventListener("series", (event) => {
      document.dispatchEvent(new CustomEvent("radnode:series", { detail: JSON.parse(event.data) }));
    });
    source.addEventListener("beat", (event) => {
      heard = Date.now();
      if (!event.data) { away(badge.dataset.failed); return; }
      known = Date.parse(event.data);
      ahead = known - heard;
      show("good", badge.dataset.live);
    });
    source.addEventListener("ended", lost);
    source.onerror = lost;
  };

  // A browser has six connections to a site: pages that nobody looks at hold none.
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  setInterval(() => {
    ages();
    if (source && Date.now() - heard > SILENT_MS) lost();
  }, 5000);
  ages();
  open();
})();
