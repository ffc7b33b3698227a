"use strict";
// The document holds everything; this shows one section of it at a time, and lets the map be moved, filtered and searched.
(() => {
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const LIMIT = 200; // found crossings that are shown at once
  root.classList.add("js");
  find(".tools").hidden = false;

  // ---- what is shown: the address says it, so that back and forward work ------------------------------------------------
  const sections = all("main > section");
  const overview = find("#overview");
  const pairs = sections.filter((section) => section.dataset.source !== undefined).map((section) => ({
    section,
    arrow: find(`.map a[href="#${section.id}"]`),
    items: all("li", section).map((item) => ({ item, kind: item.dataset.kind, family: item.dataset.family, text: null })),
  }));
  const discs = new Map(all(".map .disc").map((disc) => [disc.getAttribute("href").slice(1), disc]));
  for (const section of sections) {
    if (section === overview) continue;
    const back = document.createElement("a");
    back.href = "#overview";
    back.className = "back";
    back.textContent = "Overview";
    section.prepend(back);
  }

  let searching = "";
  function show(focus) {
    const wanted = document.getElementById(location.hash.slice(1));
    const open = sections.includes(wanted) ? wanted : overview;
    for (const section of sections) section.classList.toggle("open", !searching && section === open);
    if (searching) return;
    for (const pair of pairs) for (const { item } of pair.items) if (item.dataset.held) { item.classList.remove("out"); delete item.dataset.held; }
    faint(open);
    find("main").scrollTop = 0;
    if (focus) open.focus({ preventScroll: true });
  }
  function faint(open) {
    const context = open.dataset.context;
    const near = new Set();
    for (const pair of pairs) {
      const { source, target } = pair.section.dataset;
      const lit = open === overview || open === pair.section || (context !== undefined && (source === context || target === context));
      if (lit) near.add(source).add(target);
      pair.arrow?.classList.toggle("faint", !lit);
    }
    for (const [id, disc] of discs) disc.classList.toggle("faint", open !== overview && !near.has(id.slice(8)) && id !== open.id);
  }
  addEventListener("hashchange", () => {
    if (searching) { search.value = ""; searching = ""; filter(); }
    show(true);
  });

  // ---- filter and search --------------------------------------------------------------------------------------------------
  const search = find("input[type=search]");
  const kind = find("select");
  const boxes = all(".family input");
  const found = find(".found");
  const width = (count) => Math.min(9, 1 + 1.1 * Math.log2(1 + count));
  const thin = Math.min(1, Math.sqrt(60 / Math.max(pairs.length, 1)));
  const order = boxes.map((box) => box.value);

  function filter() {
    const families = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    searching = search.value.trim().toLowerCase();
    const words = searching.split(/\s+/).filter(Boolean);
    let hits = 0, visible = 0, total = 0;
    for (const pair of pairs) {
      const counts = new Map();
      let here = 0;
      for (const one of pair.items) {
        total += 1;
        let fits = families.has(one.family) && (!kind.value || one.kind === kind.value);
        if (fits && words.length) {
          one.text ??= `${find("h2", pair.section).textContent} ${one.kind} ${one.item.textContent}`.toLowerCase();
          fits = words.every((word) => one.text.includes(word));
        }
        if (fits) { here += 1; counts.set(one.family, (counts.get(one.family) ?? 0) + 1); }
        const held = fits && words.length && hits + here > LIMIT;
        one.item.classList.toggle("out", !fits || held);
        if (held) one.item.dataset.held = "1"; else delete one.item.dataset.held;
      }
      for (const list of all("ul", pair.section)) {
        const empty = [...list.children].every((item) => item.classList.contains("out"));
        list.classList.toggle("out", empty);
        list.previousElementSibling.classList.toggle("out", empty);
        const left = [...list.children].filter((item) => !item.classList.contains("out") || item.dataset.held).length;
        find("small", list.previousElementSibling).textContent = left === list.children.length ? left : `${left} of ${list.children.length}`;
      }
      draw(pair, here, counts);
      if (words.length) pair.section.classList.toggle("open", here > 0 && hits < LIMIT);
      hits += here;
      visible += here > 0;
    }
    if (words.length) for (const section of sections) if (section.dataset.source === undefined) section.classList.remove("open");
    const narrowed = hits < total || words.length > 0;
    found.textContent = narrowed ? `${hits.toLocaleString("en")} of ${total.toLocaleString("en")} crossings, between ${visible} pairs${words.length && hits > LIMIT ? `; the first ${LIMIT} are shown` : ""}` : "";
    if (!words.length) show(false);
    else for (const disc of discs.values()) disc.classList.remove("faint");
  }
  function draw(pair, count, counts) {
    const { arrow } = pair;
    if (!arrow) return;
    arrow.classList.toggle("out", count === 0);
    arrow.classList.remove("faint");
    if (!count) return;
    const leading = [...counts].sort((a, b) => b[1] - a[1] || order.indexOf(a[0]) - order.indexOf(b[0]))[0][0];
    arrow.classList.remove(...order);
    arrow.classList.add(leading);
    find(".line", arrow).setAttribute("stroke-width", (width(count) * thin).toFixed(1));
    const label = find("text", arrow);
    if (label) label.textContent = count;
  }
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  for (const input of [kind, ...boxes]) input.addEventListener("change", filter);

  // ---- the map: zoom and pan by wheel, by fingers, by keys ------------------------------------------------------------------
  const sheet = find(".sheet");
  const map = find(".map");
  const whole = map.viewBox.baseVal;
  const [fullWidth, fullHeight] = [whole.width, whole.height];
  let view = { x: 0, y: 0, scale: 1 };
  function place() {
    view.scale = Math.min(12, Math.max(1, view.scale));
    const [w, h] = [fullWidth / view.scale, fullHeight / view.scale];
    view.x = Math.min(fullWidth - w / 2, Math.max(-w / 2, view.x));
    view.y = Math.min(fullHeight - h / 2, Math.max(-h / 2, view.y));
    if (view.scale === 1) view.x = view.y = 0;
    map.setAttribute("viewBox", `${view.x} ${view.y} ${w} ${h}`);
  }
  function point(event) {
    const matrix = map.getScreenCTM().inverse();
    return { x: event.clientX * matrix.a + matrix.e, y: event.clientY * matrix.d + matrix.f };
  }
  function zoom(factor, around = { x: view.x + fullWidth / view.scale / 2, y: view.y + fullHeight / view.scale / 2 }) {
    const scale = Math.min(12, Math.max(1, view.scale * factor));
    const change = view.scale / scale;
    view = { x: around.x - (around.x - view.x) * change, y: around.y - (around.y - view.y) * change, scale };
    place();
  }
  sheet.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), point(event));
  }, { passive: false });
  const fingers = new Map();
  let moved = false;
  sheet.addEventListener("pointerdown", (event) => { if (!fingers.size) moved = false; fingers.set(event.pointerId, event); });
  addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (!moved && Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 4) return;
    moved = true;
    sheet.classList.add("held");
    if (fingers.size === 2) {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY) || 1;
      zoom(apart(event) / apart(before), point({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 }));
    } else if (fingers.size === 1) {
      const [from, to] = [point(before), point(event)];
      view.x -= to.x - from.x;
      view.y -= to.y - from.y;
      place();
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (event) => { fingers.delete(event.pointerId); sheet.classList.toggle("held", fingers.size > 0 && moved); });
  sheet.addEventListener("click", (event) => { if (moved) { event.preventDefault(); event.stopPropagation(); moved = false; } }, true);
  sheet.addEventListener("dragstart", (event) => event.preventDefault());
  sheet.tabIndex = 0;
  sheet.setAttribute("role", "group");
  sheet.setAttribute("aria-label", "Map; plus and minus zoom, arrows move, 0 shows the whole");
  sheet.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.12 * fullWidth / view.scale;
    const acts = {
      "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => zoom(0),
      ArrowLeft: () => { view.x -= step; place(); }, ArrowRight: () => { view.x += step; place(); },
      ArrowUp: () => { view.y -= step; place(); }, ArrowDown: () => { view.y += step; place(); },
    };
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });
  for (const button of all("[data-zoom]")) button.addEventListener("click", () => zoom({ in: 1.4, out: 1 / 1.4, whole: 0 }[button.dataset.zoom]));

  show(false);
})();
