// The zone in which days are meant; a thumbnail that is not there leaves no hole.
"use strict";

(() => {
  const arrange = (within) => {
    for (const each of within.querySelectorAll('input[name="zone"]')) {
      each.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
    }
    for (const each of within.querySelectorAll('img[data-missing="hide"]')) {
      const hide = () => { each.hidden = true; };
      if (each.complete && !each.naturalWidth && each.currentSrc) hide();
      each.addEventListener("error", hide);
    }
  };
  arrange(document);
  document.addEventListener("htmx:load", (event) => arrange(event.target));
})();
