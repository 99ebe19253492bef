"use strict";
// Values on hover and by the arrow keys, series shown and hidden in the legend, tables that sort and filter.
// Without it the page holds the same pictures and tables.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const NEAR = 40; // in units of a picture
  const make = (name, properties, parent) => {
    const element = Object.assign(document.createElement(name), properties);
    if (parent) parent.append(element);
    return element;
  };
  document.documentElement.classList.add("script");

  // ---- pictures ----

  const picture = (figure, data) => {
    const plot = figure.querySelector("svg.plot");
    const hidden = new Set();
    const value = make("div", { className: "value", hidden: true, role: "status" }, figure);
    value.setAttribute("aria-live", "polite");
    const ring = document.createElementNS(SVG, "circle");
    for (const [name, text] of Object.entries({ r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2, visibility: "hidden" }))
      ring.setAttribute(name, text);
    plot.append(ring);

    const shown = () => data.series.filter((series) => !hidden.has(series.series));
    const tell = (series, i) => {
      const [x, y] = series.points[i];
      const names = data.panels[series.panel].names;
      const told = series.values[i].map((text, axis) => (names[axis] ? names[axis] + ": " : "") + text);
      const name = data.names[series.series];
      value.textContent = [...(name ? [name] : []), ...told].join("; ");
      value.hidden = false;
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      ring.setAttribute("visibility", "visible");
      const at = new DOMPoint(x, y).matrixTransform(plot.getScreenCTM());
      const box = figure.getBoundingClientRect();
      value.style.left = Math.max(0, Math.min(at.x - box.left + 10, box.width - value.offsetWidth)) + "px";
      value.style.top = at.y - box.top - value.offsetHeight - 10 + "px";
    };
    const silence = () => {
      value.hidden = true;
      ring.setAttribute("visibility", "hidden");
    };
    plot.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
      let best = null;
      let least = NEAR;
      for (const series of shown())
        series.points.forEach(([x, y], i) => {
          const distance = Math.hypot(x - at.x, y - at.y);
          if (distance < least) [least, best] = [distance, [series, i]];
        });
      if (best) tell(...best);
      else silence();
    });
    plot.addEventListener("pointerleave", silence);

    // By the keyboard: left and right along a series, up and down from series to series.
    let place = [0, -1];
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    plot.setAttribute("tabindex", "0");
    plot.addEventListener("keydown", (event) => {
      const all = shown();
      if (event.key === "Escape") silence();
      if (!steps[event.key] || !all.length) return;
      event.preventDefault();
      const [down, right] = steps[event.key];
      const s = (Math.min(place[0], all.length - 1) + down + all.length) % all.length;
      const i = Math.max(0, Math.min(place[1] + right, all[s].points.length - 1));
      place = [s, i];
      tell(all[s], i);
    });
    plot.addEventListener("blur", silence);

    for (const button of figure.querySelectorAll(".legend button"))
      button.addEventListener("click", () => {
        const number = Number(button.dataset.series);
        const on = hidden.delete(number);
        if (!on) hidden.add(number);
        button.setAttribute("aria-pressed", String(on));
        for (const part of plot.querySelectorAll(`[data-series="${number}"]`)) part.classList.toggle("off", !on);
        silence();
      });
  };
  const block = document.getElementById("values");
  for (const [key, data] of Object.entries(block ? JSON.parse(block.textContent) : {}))
    picture(document.getElementById(key), data);

  // ---- tables ----

  const amount = (text) => {
    const found = text.replace(/,/g, "").match(/^[<> ]*(-?\d+(\.\d+)?(e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };
  const compare = (a, b) => {
    const [x, y] = [amount(a), amount(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return Number.isNaN(x) ? a.localeCompare(b) : x - y;
  };
  for (const table of document.querySelectorAll("table.sorts")) {
    const body = table.tBodies[0];
    const lines = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const text = (line) => line.cells[column].textContent;
        lines.sort((one, other) => (up ? 1 : -1) * compare(text(one), text(other)));
        body.append(...lines);
      });
    });
    if (lines.length > 8) {
      const filter = make("input", { type: "search", className: "filter", placeholder: "show lines with ..." });
      filter.setAttribute("aria-label", `filter: ${table.caption.textContent}`);
      table.parentElement.before(filter);
      filter.addEventListener("input", () => {
        const wanted = filter.value.toLowerCase();
        for (const line of lines) line.hidden = !line.textContent.toLowerCase().includes(wanted);
      });
    }
  }

  // In print all tables are open.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) {
      part.open = true;
      closed.push(part);
    }
  });
  addEventListener("afterprint", () => {
    while (closed.length) closed.pop().open = false;
  });
})();
