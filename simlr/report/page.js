"use strict";
// Values on hover and by the arrow keys, series shown and hidden in the legend, a horizontal axis that is enlarged,
// tables that sort and filter.
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

  const draw = (name, attributes, parent) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };

  // ---- the part of a horizontal axis that is seen ----

  // Places of ticks between two values: powers of ten, else 1, 2 and 5 times these, else even steps.
  const ticks = (low, high, logarithmic) => {
    const few = (all) => all.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
    if (logarithmic) {
      const decades = [];
      for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high) + 1; k++) decades.push(k);
      const apart = Math.ceil(few(decades.map((k) => 10 ** k)).length / 8) || 1;
      const powers = few(decades.filter((k) => k % apart === 0).map((k) => Number("1e" + k)));
      if (powers.length > 2) return powers;
      const finer = few(decades.flatMap((k) => [1, 2, 5].map((digit) => Number(digit + "e" + k))));
      if (finer.length > 2) return finer;
    }
    const rough = (high - low) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  };

  // What enlarges the horizontal axis that all panels of a picture share: [from, to] as shares of it.
  const enlarger = (plot, data, key, whole) => {
    const panels = data.panels.map((panel, i) => {
      const group = plot.querySelector(`[id="${key}-axes_${i + 1}"]`);
      const axes = [...group.querySelectorAll('[id*="matplotlib.axis_"]')];
      const clipped = [...group.querySelectorAll("[clip-path]")].filter((part) => !axes.some((axis) => axis.contains(part)));
      const parts = clipped.map((part) => {
        // The clip stays where it is while what it clips is moved.
        const outer = draw("g", { "clip-path": part.getAttribute("clip-path") }, part.parentNode);
        part.before(outer);
        part.removeAttribute("clip-path");
        outer.append(part);
        const uses = [...part.querySelectorAll("use")].map((use) => [use, Number(use.getAttribute("x"))]);
        if (!uses.length) part.setAttribute("vector-effect", "non-scaling-stroke");
        return [part, uses];
      });
      return { group, box: panel.box, parts, ticks: [...axes[0].querySelectorAll('[id*="xtick_"]')] };
    });
    const label = panels.at(-1).ticks.map((tick) => tick.querySelector("text")).find(Boolean);
    const [low, high, logarithmic] = data.axis;
    const value = (part) => (logarithmic ? low * (high / low) ** part : low + part * (high - low));
    const share = (x) => (logarithmic ? Math.log(x / low) / Math.log(high / low) : (x - low) / (high - low));
    const own = [];
    return ([from, to]) => {
      const place = (x, [left, , right]) => left + ((x - left) / (right - left) - from) / (to - from) * (right - left);
      const all = from === 0 && to === 1;
      while (own.length) own.pop().remove();
      panels.forEach(({ group, box, parts, ticks: before }, p) => {
        const [left, top, right, bottom] = box;
        for (const [part, uses] of parts) {
          for (const [use, x] of uses) use.setAttribute("x", place(x, box));
          if (!uses.length) part.setAttribute("transform", `matrix(${1 / (to - from)} 0 0 1 ${place(0, box)} 0)`);
        }
        for (const tick of before) tick.classList.toggle("off", !all);
        for (const at of all ? [] : ticks(value(from), value(to), logarithmic)) {
          const x = left + ((share(at) - from) / (to - from)) * (right - left);
          own.push(draw("path", { d: `M${x} ${top}V${bottom}`, stroke: "var(--line)", "stroke-width": 0.6 }, group));
          group.children[1].before(own.at(-1)); // behind what is drawn
          if (p < panels.length - 1 || !label) continue;
          const font = label.getAttribute("font-size") || "10";
          const text = draw("text", { x, y: bottom + 1.6 * parseFloat(font), "font-size": font, "text-anchor": "middle" }, group);
          text.setAttribute("class", "tick");
          text.setAttribute("fill", "currentColor");
          text.textContent = String(Number(at.toPrecision(6)));
          own.push(text);
        }
      });
      // What can be read off is what is seen.
      data.series.forEach((series, s) => {
        const { points, values } = whole[s];
        const box = data.panels[series.panel].box;
        const moved = points.map(([x, y]) => [place(x, box), y]);
        const seen = moved.map(([x], i) => i).filter((i) => moved[i][0] >= box[0] - 1 && moved[i][0] <= box[2] + 1);
        series.points = seen.map((i) => moved[i]);
        series.values = seen.map((i) => values[i]);
      });
    };
  };

  const zoom = (figure, plot, data, silence) => {
    const set = enlarger(plot, data, figure.id, data.series.map(({ points, values }) => ({ points, values })));
    let range = [0, 1];
    const see = (from, to) => {
      const width = Math.min(1, Math.max(to - from, 1e-3));
      const start = Math.max(0, Math.min(from, 1 - width));
      range = [start, start + width];
      silence();
      set(range);
      whole.disabled = out.disabled = width === 1;
    };
    const scaled = (factor) => {
      const [middle, half] = [(range[0] + range[1]) / 2, ((range[1] - range[0]) * factor) / 2];
      see(middle - half, middle + half);
    };
    const keys = { "+": () => scaled(0.5), "-": () => scaled(2), 0: () => see(0, 1) };
    const bar = make("div", { className: "zoom" });
    plot.closest(".scroll").before(bar);
    const button = (text, name, action) => {
      const one = make("button", { type: "button", textContent: text, title: name }, bar);
      one.setAttribute("aria-label", name);
      one.addEventListener("click", action);
      return one;
    };
    button("+", "enlarge the horizontal axis (key +)", keys["+"]);
    const out = button("\u2212", "see more of the horizontal axis (key -)", keys["-"]);
    const whole = button("all", "see the whole horizontal axis (key 0)", keys[0]);
    make("span", { textContent: "or drag over the picture" }, bar);
    plot.addEventListener("keydown", (event) => {
      if (keys[event.key] && !event.ctrlKey && !event.metaKey) keys[event.key]();
    });

    // By dragging over a panel.
    const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    let first = null;
    let mark = null;
    const end = () => {
      if (mark) mark.remove();
      first = mark = null;
    };
    plot.addEventListener("pointerdown", (event) => {
      const { x, y } = at(event);
      const panel = data.panels.find(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
      if (!panel || event.button !== 0) return;
      first = { x, box: panel.box };
      plot.setPointerCapture(event.pointerId);
      event.preventDefault();
      plot.focus({ preventScroll: true });
    });
    const ends = (event) => [first.x, Math.max(first.box[0], Math.min(at(event).x, first.box[2]))].sort((a, b) => a - b);
    plot.addEventListener("pointermove", (event) => {
      if (!first) return;
      const [left, right] = ends(event);
      if (!mark) mark = draw("rect", { fill: "currentColor", opacity: 0.15, y: first.box[1], height: first.box[3] - first.box[1] }, plot);
      mark.setAttribute("x", left);
      mark.setAttribute("width", right - left);
    });
    plot.addEventListener("pointerup", (event) => {
      if (!first) return;
      const [left, right] = ends(event);
      const width = first.box[2] - first.box[0];
      const share = (x) => range[0] + ((x - first.box[0]) / width) * (range[1] - range[0]);
      if (right - left > 8) see(share(left), share(right));
      end();
    });
    plot.addEventListener("pointercancel", end);
    see(0, 1);
  };

  // ---- pictures ----

  const picture = (figure, data) => {
    const plot = figure.querySelector("svg.plot");
    const hidden = new Set();
    const value = make("div", { className: "value", hidden: true, role: "status" }, figure);
    value.setAttribute("aria-live", "polite");
    const ring = draw("circle", { r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2, visibility: "hidden" }, plot);

    const shown = () => data.series.filter((series) => !hidden.has(series.series) && series.points.length);
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
    if (data.axis) zoom(figure, plot, data, silence);
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
