// What every page does: the theme, times in the reader's own zone, what went wrong in a line.
"use strict";

(() => {
  const root = document.documentElement;
  const shown = () => root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    document.dispatchEvent(new CustomEvent("radnode:theme"));
  });

  const tongue = navigator.languages.find((each) => each.split("-")[0] === root.lang) || root.lang;
  const zoned = new Intl.DateTimeFormat(tongue, { dateStyle: "medium", timeStyle: "medium" });
  const place = (within) => {
    for (const each of within.querySelectorAll("time[datetime]:not([data-placed])")) {
      const at = new Date(each.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      each.title = each.textContent;
      each.textContent = zoned.format(at);
      each.dataset.placed = "";
    }
  };
  place(document);
  document.addEventListener("htmx:load", (event) => place(event.target));

  const said = document.getElementById("said");
  let clearing = 0;
  const say = (text, bad) => {
    said.textContent = text;
    said.className = bad ? "bad" : "good";
    clearTimeout(clearing);
    clearing = setTimeout(() => { said.textContent = ""; said.className = ""; }, 8000);
  };
  const refuse = (answer) => {
    let text = answer.statusText || String(answer.status);
    try { text = JSON.parse(answer.responseText).detail || text; } catch { /* not JSON: the status says it */ }
    say(text, true);
  };
  document.addEventListener("htmx:responseError", (event) => refuse(event.detail.xhr));
  document.addEventListener("htmx:sendError", () => say(said.dataset.ended, true));
  // An answer may say what was done: HX-Trigger: {"said": "..."}
  document.addEventListener("said", (event) => say(event.detail.value, false));
  // What was pressed may be drawn anew before its answer comes. htmx gives the answer to the element that asked, and
  // from there nobody hears it: it is told to the page instead.
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr } }) => {
    xhr.addEventListener("readystatechange", () => {
      if (xhr.readyState !== XMLHttpRequest.DONE || elt.isConnected) return;
      if (xhr.status === 0) say(said.dataset.ended, true);
      else if (xhr.status >= 400) refuse(xhr);
      else for (const [name, value] of Object.entries(JSON.parse(xhr.getResponseHeader("HX-Trigger") || "{}"))) {
        document.body.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: { value } }));
      }
    });
  });
})();
