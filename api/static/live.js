// Keeps an open story up to date: hears that it changed, fetches the page again and puts its content in place.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource || !window.fetch) return;
  const told = document.createElement("p");
  told.className = "hidden-text";
  told.setAttribute("role", "status");
  main.after(told);

  const show = () => main.querySelectorAll(".live").forEach((line) => { line.hidden = false; });
  const renew = async () => {
    const answer = await fetch(main.dataset.now, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return source.close();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main[data-live]");
    if (!fresh) return;
    const open = [...main.querySelectorAll("details")].map((each) => each.open);
    const was = main.querySelector("h1").textContent;
    main.replaceChildren(...fresh.childNodes);
    main.dataset.version = fresh.dataset.version;
    main.querySelectorAll("details").forEach((each, n) => { each.open = Boolean(open[n]); });
    show();
    const now = main.querySelector("h1").textContent;
    if (now !== was) told.textContent = now;
  };

  const source = new EventSource(main.dataset.live);
  source.addEventListener("open", show);
  source.addEventListener("story", (event) => {
    if (event.data !== main.dataset.version) renew().catch(() => {});
  });
})();
