"use strict";
(() => {
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const HIGHEST = 1e100, MOST_DRAWN = 3000, HELPS = 1.02; // at least 2 % less test loss is called a help

// ---- arithmetic, in the axes of the curvature: r = Q^T (theta - least train loss), excess = train loss - minimum ----

const excess = ({curvature: c}, r) => 0.5 * (c[0] * r[0] ** 2 + c[1] * r[1] ** 2);
const flow = ({curvature: c}, r, time) => r.map((x, i) => x * Math.exp(-c[i] * time));
const theta = ({axes: q, minimiser: m}, r) => m.map((x, i) => x + q[i][0] * r[0] + q[i][1] * r[1]);

function testLoss(sample, r) {
  const {offset, matrix: m, slope: b} = sample, y = r.map((x, i) => x + offset[i]);
  return sample.test_floor + y[0] * (b[0] + m[0][0] * y[0] + m[0][1] * y[1])
    + y[1] * (b[1] + m[1][0] * y[0] + m[1][1] * y[1]);
}

// The share of a step that is left out so that it ends on the level.
function shareLeft({curvature: c}, before, after, level) {
  let square = 0, product = 0, rest = 2 * level;
  after.forEach((a, i) => {
    const back = before[i] - a;
    square += c[i] * back * back; product += c[i] * a * back; rest -= c[i] * a * a;
  });
  const root = Math.sqrt(product * product + square * Math.max(rest, 0));
  return product < 0 ? (root - product) / square : rest > 0 ? rest / (product + root) : 0;
}

// The time at which a flow meets the level: Newton on log(excess), convex and falling, comes from the left.
function crossing(sample, r, level) {
  let time = 0;
  for (let round = 0; round < 200; round++) {
    const now = flow(sample, r, time), value = excess(sample, now);
    if (!(value > level)) break;
    const fall = now.reduce((sum, x, i) => sum + (sample.curvature[i] * x) ** 2, 0);
    const later = time + Math.log(value / level) * value / fall;
    if (later === time) break;
    time = later;
  }
  return time;
}

// Large steps r_i <- (1 - rate c_i) r_i, then the flow r_i exp(-c_i time), until the excess is the level.
function descend(sample, rate, steps, level) {
  const factor = sample.curvature.map((c) => 1 - rate * c);
  let r = sample.start, now = excess(sample, r), step = 0, time = 0, highest = now;
  const path = [r], end = (more) => ({r, steps: step, time, path, highest, test: testLoss(sample, r),
    train: sample.train_floor + excess(sample, r), ...more});
  while (step < steps && now > level) {
    const before = r;
    r = [factor[0] * r[0], factor[1] * r[1]];
    now = excess(sample, r);
    step++;
    highest = Math.max(highest, now);
    if (!(now <= HIGHEST)) return end({diverged: true, test: NaN});
    const landed = now <= level, left = landed ? shareLeft(sample, before, r, level) : 0;
    if (landed) r = r.map((x, i) => x + left * (before[i] - x));
    time += rate * (1 - left);
    if (path.length < MOST_DRAWN) path.push(r);
    if (landed) return end({landed});
  }
  const tau = crossing(sample, r, level), from = r;
  r = flow(sample, r, tau);
  time += tau;
  return end({from, tau});
}

const ratio = (sample, rate, steps, level, small = descend(sample, 0, 0, level)) =>
  small.test / descend(sample, rate, steps, level).test;

// ---- numbers as people write them ----

const RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";
function show(x) {
  if (x === 0 || !Number.isFinite(x)) return x === 0 ? "0" : "none";
  if (Math.abs(x) >= 0.001 && Math.abs(x) < 1e4) return Math.abs(x) >= 100 ? x.toFixed(0) : x.toPrecision(3);
  const [digits, power] = x.toExponential(2).split("e");
  return digits + " \u00d7 10" + power.replace("+", "").replace("-", "\u207b").replace(/\d/g, (d) => RAISED[d]);
}
const plain = (x) => String(+x.toPrecision(4));
const times = (x) => (x >= 10 ? x.toFixed(0) : x.toFixed(x < 1.095 ? 3 : x < 1.95 ? 2 : 1)) + " times";

// ---- pictures ----

const LEFT = 54, RIGHT = 385, TOP = 8;
const near = (x) => Math.max(-9e4, Math.min(9e4, x)).toFixed(2);

function ticks(from, to) {
  const raw = (to - from) / 5, ten = 10 ** Math.floor(Math.log10(raw));
  const step = ten * [1, 2, 5, 10].find((m) => m * ten >= raw), first = Math.ceil(from / step - 1e-9);
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({length: Math.floor((to - first * step) / step + 1e-9) + 1}, (_, i) => (first + i) * step)
    .map((value) => [value, value.toFixed(places).replace(/^-(0\.?0*)$/, "$1")]);
}

// A frame with axes {from, to, ticks: [[value, text]], label}; draw(px, py) gives what lies in it, clipped.
function chart(id, x, y, draw) {
  const svg = find(id), bottom = svg.viewBox.baseVal.height - 40, width = RIGHT - LEFT, height = bottom - TOP;
  const px = (v) => near(LEFT + (v - x.from) / (x.to - x.from) * width);
  const py = (v) => near(bottom - (v - y.from) / (y.to - y.from) * height);
  svg.innerHTML = x.ticks.map(([v, text]) => `<path class="grid" d="M${px(v)} ${TOP}V${bottom}"/>`
      + `<text class="middle" x="${px(v)}" y="${bottom + 15}">${text}</text>`).join("")
    + y.ticks.map(([v, text]) => `<path class="grid" d="M${LEFT} ${py(v)}H${RIGHT}"/>`
      + `<text class="last" x="${LEFT - 5}" y="${+py(v) + 4}">${text}</text>`).join("")
    + `<text class="middle" x="${(LEFT + RIGHT) / 2}" y="${bottom + 33}">${x.label}</text>`
    + `<text class="middle" transform="translate(12 ${TOP + height / 2}) rotate(-90)">${y.label}</text>`
    + `<svg x="${LEFT}" y="${TOP}" width="${width}" height="${height}" `
    + `viewBox="${LEFT} ${TOP} ${width} ${height}">${draw(px, py)}</svg>`
    + `<rect class="frame" x="${LEFT}" y="${TOP}" width="${width}" height="${height}"/>`;
}

// The points with weights[0] u^2 + weights[1] v^2 = value, (u, v) along the columns of `axes` from the centre.
function ellipse(centre, axes, weights, value) {
  const size = weights.map((w) => Math.sqrt(Math.max(value, 0) / Math.max(w, 1e-9 * Math.max(...weights, 1e-300))));
  return Array.from({length: 181}, (_, k) => {
    const u = size[0] * Math.cos(k * Math.PI / 90), v = size[1] * Math.sin(k * Math.PI / 90);
    return centre.map((x, i) => x + axes[i][0] * u + axes[i][1] * v);
  });
}

// The test loss as its least value, where it has it, and its own axes: {least, centre, axes, weights}.
function testBowl(sample) {
  const m = sample.matrix, angle = Math.atan2(2 * m[0][1], m[0][0] - m[1][1]) / 2;
  const own = [[Math.cos(angle), -Math.sin(angle)], [Math.sin(angle), Math.cos(angle)]];
  const column = (i) => [own[0][i], own[1][i]], dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  const weights = [0, 1].map((i) => dot(column(i), m.map((row) => dot(row, column(i)))));
  const z = weights.map((w, i) =>
    w > 1e-12 * Math.max(...weights) ? -dot(column(i), sample.slope) / (2 * w) : 0);
  const r = own.map((row, i) => dot(row, z) - sample.offset[i]);
  const axes = sample.axes.map((row) => [0, 1].map((j) => dot(row, column(j))));
  return {least: testLoss(sample, r), centre: theta(sample, r), axes, weights};
}

function plane(id, sample, level, centre, half, ends) {
  const bowl = testBowl(sample), [small, large] = ends, ratioOfSides = (RIGHT - LEFT) / (find(id).viewBox.baseVal.height - 50);
  const axis = (i, h) => ({from: centre[i] - h, to: centre[i] + h, ticks: ticks(centre[i] - h, centre[i] + h),
    label: `parameter <tspan class="theta">\u03b8</tspan>${"\u2081\u2082"[i]}`});
  chart(id, axis(0, half * ratioOfSides), axis(1, half), (px, py) => {
    const line = (kind, points) =>
      `<path class="${kind}" d="M${points.map((p) => px(p[0]) + " " + py(p[1])).join("L")}"/>`;
    const dot = (kind, p, radius) => `<circle class="${kind}" cx="${px(p[0])}" cy="${py(p[1])}" r="${radius}"/>`;
    const train = (value) => ellipse(sample.minimiser, sample.axes, sample.curvature.map((c) => c / 2), value);
    const mark = (p, d) => `<path class="mark" transform="translate(${px(p[0])} ${py(p[1])})" d="${d}"/>`;
    const flowed = ({from, tau}) => from ? Array.from({length: 120}, (_, k) => flow(sample, from, tau * ((k + 1) / 120) ** 3)) : [];
    const way = (end) => [...end.path, ...flowed(end)].map((r) => theta(sample, r));
    const start = excess(sample, sample.start);
    return [1, 0.4, 0.1].map((share) => line("contour", train(share * start))).join("") + line("level", train(level))
      + [["small", small], ["large", large]].map(([kind, end]) => Number.isFinite(end.test)
        ? line("test " + kind, ellipse(bowl.centre, bowl.axes, bowl.weights, end.test - bowl.least)) : "").join("")
      + line("path large", way(large)) + line("path small", way(small))
      + large.path.slice(1).map((r) => dot("step", theta(sample, r), 2.5)).join("")
      + dot("mark start", theta(sample, sample.start), 4)
      + mark(sample.minimiser, "M-5 -5L5 5M-5 5L5 -5") + mark(bowl.centre, "M-7 0H7M0 -7V7")
      + dot("end large", theta(sample, large.r), 5) + dot("end small", theta(sample, small.r), 5);
  });
}

// A curve of the ratio, on a logarithmic axis in which 2 times more and 2 times less are equally far from 1.
function curve(id, x, points, now, extra) {
  const known = points.map((p) => p[1]).concat(now[1]).filter((v) => v > 0 && Number.isFinite(v)).map(Math.log2);
  const from = Math.max(Math.min(-0.6, ...known) - 0.2, -7), to = Math.min(Math.max(1.2, ...known) + 0.2, 7);
  const every = Math.ceil((to - from) / 5), labels = [];
  for (let k = Math.ceil(from / every) * every; k <= to; k += every) labels.push([k, k < 0 ? "1/" + 2 ** -k : 2 ** k]);
  chart(id, x, {from, to, ticks: labels, label: "ratio"}, (px, py) => {
    const drawn = points.filter((p) => p[1] > 0 && Number.isFinite(p[1]));
    return `<rect class="hurts" x="${LEFT}" y="${py(0)}" width="${RIGHT - LEFT}" height="400"/>`
      + `<path class="one" d="M${LEFT} ${py(0)}H${RIGHT}"/>`
      + (drawn.length ? `<path class="ratio" d="M${drawn.map((p) => px(p[0]) + " " + py(Math.log2(p[1]))).join("L")}"/>` : "")
      + `<path class="now" d="M${px(now[0])} 0V400"/>`
      + (now[1] > 0 ? `<circle class="end large" cx="${px(now[0])}" cy="${py(Math.log2(now[1]))}" r="5"/>` : "")
      + `<text class="quiet" x="${LEFT + 6}" y="${TOP + 14}">large steps help</text>`
      + `<text class="quiet" x="${LEFT + 6}" y="${+py(from) - 6}">large steps hurt</text>` + extra(px, +py(from) - 6);
  });
}

// ---- sentences ----

const step = (n) => n === 1 ? "1 large step" : `${n} large steps`;
const above = (sample) => sample.train_floor > 0 ? " above its minimum" : "";

function verdict(sample, state, small, large) {
  const start = excess(sample, sample.start);
  if (start <= state.level) return `The train loss at the start, ${show(start)}${above(sample)}, is not above the one to stop at: `
    + "nothing is left to train.";
  if (large.diverged) return `The large steps diverge: after ${step(large.steps)} the train loss is over 10\u00b9\u2070\u2070, `
    + "and there is no end to compare.";
  const r = small.test / large.test, which = r > 1 ? "small steps alone end" : "large steps first end";
  const more = Math.abs(r - 1) < 5e-4 || !Number.isFinite(r) ? "no difference"
    : `${which} with ${times(Math.max(r, 1 / r))} as much`;
  return `At train loss ${show(state.level)}${above(sample)}, the test loss (on new data) is ${show(small.test)} with small steps `
    + `alone and ${show(large.test)} with ${step(large.steps)} of ${plain(state.rate)} first: ${more}.`;
}

function reason(sample, state, large) {
  const c = sample.curvature, steep = c[0] >= c[1] ? 0 : 1, edge = 2 / c[steep];
  const factors = c.map((x) => Math.abs(1 - state.rate * x)), grows = show(factors[steep]);
  const beyond = state.rate > edge * (1 + 1e-12);
  if (excess(sample, sample.start) <= state.level) return "";
  if (large.diverged) return `Each of them makes the error along the steep direction ${grows} times as large.`;
  if (!large.steps || !state.rate) return "Without a large step both paths are the same.";
  if (beyond) return `The large rate is beyond the edge of stability, ${plain(edge)}: each large step makes the error along `
    + `the steep direction ${grows} times as large. The train loss rose to ${show(large.highest)} on the way; `
    + "with more such steps it would grow without end.";
  if (large.landed) return "The large steps reach the level by themselves: no small steps follow.";
  if (c[1 - steep] < 1e-12 * c[steep]) return "This sample tells nothing about the flat direction: no step moves along it, so the "
    + "order of steps makes no difference there.";
  const kept = `Each large step leaves ${percent(factors[steep])} of the error along the steep direction and `
    + `${percent(factors[1 - steep])} of that along the flat one. `;
  return kept + (factors[steep] > factors[1 - steep] ? "So the error along the flat direction, which small steps would leave to the "
    + "last, goes first." : "So the error along the steep direction goes first, as with small steps.");
}
const percent = (x) => plain(+(100 * x).toPrecision(3)) + " %";

// ---- controls ----

const state = {...data.own};
const samples = () => data.groups[state.group].samples;
const NAMES = {rate: "large learning rate", steps: "number of large steps", level: "train loss to stop at", sample: "sample"};
const limits = {rate: [0, 1e90], steps: [0, 10000], level: [Number.MIN_VALUE, 1e90], sample: [1, 1]};
const toRange = (key, x) => key === "level" ? Math.log10(x) : x;
const fromRange = (key, x) => key === "level" ? +(10 ** x).toPrecision(3) : x;

function ranges() {
  const edges = samples().map((s) => 2 / Math.max(...s.curvature)).sort((a, b) => a - b);
  const top = Math.log10(Math.max(...samples().map((s) => excess(s, s.start))) || 1);
  const most = 1.4 * Math.min(edges[edges.length - 1], 3 * edges[edges.length >> 1]);
  for (const [key, min, max, by] of [["rate", 0, +most.toPrecision(2), "any"], ["steps", 0, 20, 1],
    ["level", top - 6, top, "any"], ["sample", 1, samples().length, 1]]) {
    Object.assign(find(key + "-range"), {min, max, step: by});
  }
  limits.sample[1] = samples().length;
}

function fill(except) {
  for (const key of Object.keys(NAMES)) {
    const value = key === "sample" ? state.sample + 1 : state[key], range = find(key + "-range");
    if (range !== except) range.value = toRange(key, value);
    range.setAttribute("aria-valuetext", plain(value));
    find(key).removeAttribute("aria-invalid");
    if (find(key) !== except) find(key).value = +value.toPrecision(6);
  }
}

function changed(event) {
  const field = event.target, key = field.id.replace("-range", "");
  if (key === "group") {
    Object.assign(state, {group: +field.value, sample: 0});
    ranges();
  } else {
    const value = field.type === "range" ? fromRange(key, +field.value) : field.value === "" ? NaN : +field.value;
    const [least, most] = limits[key], whole = key === "steps" || key === "sample";
    const good = value >= least && value <= most && (!whole || Number.isInteger(value));
    field.setAttribute("aria-invalid", String(!good));
    if (!good) {
      const rule = key === "level" ? "above 0" : key === "rate" ? "0 or more" : `${whole ? "a whole number " : ""}from ${least} to ${most}`;
      find("sentence").textContent = `The ${NAMES[key]} must be ${rule}.`;
      find("reason").textContent = "";
      return;
    }
    state[key] = key === "sample" ? value - 1 : value;
  }
  update(field);
}

// ---- all that follows from the controls ----

function number(id, value) {
  const cell = find(id);
  cell.value = String(value);
  cell.textContent = show(value);
}

function table(sample, small, large) {
  const flat = sample.curvature[0] < sample.curvature[1] ? 0 : 1;
  for (const [kind, end] of [["small", small], ["large", large]]) {
    const {r} = end, share = 100 * r[flat] ** 2 / (r[0] ** 2 + r[1] ** 2);
    number(kind + "-test", end.test);
    number(kind + "-train", end.train);
    number(kind + "-time", end.time);
    find(kind + "-flat").textContent = Number.isFinite(share) && !end.diverged ? share.toFixed(0) + " %" : "none";
  }
  number("ratio", small.test / large.test);
}

function planes(sample, small, large) {
  const start = theta(sample, sample.start), middle = sample.minimiser, centre = testBowl(sample).centre;
  const reach = Math.hypot(start[0] - middle[0], start[1] - middle[1]);
  const apart = (p) => Math.hypot(p[0] - middle[0], p[1] - middle[1]);
  const seen = [start, middle, ...[small, large].flatMap((end) => end.path.slice(0, 200)).map((r) => theta(sample, r)),
    ...ellipse(middle, sample.axes, sample.curvature.map((c) => c / 2), state.level).filter((p) => apart(p) < 0.6 * reach), centre].filter((p) => apart(p) <= 2 * reach);
  const low = [0, 1].map((i) => Math.min(...seen.map((p) => p[i])));
  const high = [0, 1].map((i) => Math.max(...seen.map((p) => p[i])));
  const half = 0.62 * Math.max(high[1] - low[1], (high[0] - low[0]) * 0.74) || 1;
  plane("plane", sample, state.level, low.map((x, i) => (x + high[i]) / 2), half, [small, large]);
  const ends = [small, large].map((end) => apart(theta(sample, end.r))).filter((x) => x <= 2 * reach);
  plane("close", sample, state.level, middle, 1.5 * Math.max(...ends, 1e-3 * reach) || 1, [small, large]);
}

function curves(sample) {
  const edge = 2 / Math.max(...sample.curvature), most = Math.max(1.3 * edge, 1.05 * state.rate);
  const small = descend(sample, 0, 0, state.level), now = ratio(sample, state.rate, state.steps, state.level, small);
  const rates = Array.from({length: 241}, (_, k) => most * k / 240).concat(edge, state.rate).sort((a, b) => a - b);
  const byRate = rates.map((rate) => [rate, ratio(sample, rate, state.steps, state.level, small)]);
  const best = byRate.reduce((most, one) => (one[1] > most[1] ? one : most), [0, 1]);
  const start = byRate.find(([, value]) => value >= HELPS);
  find("best").textContent = start ? `With ${step(state.steps)}, large rates help from ${plain(start[0])} on, the most at `
    + `${best[0] === most ? "the highest shown" : plain(best[0])} (${times(best[1])}).` : "No large rate helps at this level, with this number of steps and this sample.";
  curve("by-rate", {from: 0, to: most, ticks: ticks(0, most), label: "large learning rate"}, byRate, [state.rate, now],
    (px, low) => `<path class="edge" d="M${px(edge)} 0V400"/><text class="quiet ${edge < most / 2 ? "" : "last"}" `
      + `x="${+px(edge) + (edge < most / 2 ? 5 : -5)}" y="${low}">edge of stability ${plain(edge)}</text>`);
  const highest = Math.log10(excess(sample, sample.start) || 1), here = Math.log10(state.level);
  const lowest = Math.min(highest - 6, here - 0.3), from = Math.max(highest, here);
  const byLevel = Array.from({length: 121}, (_, k) => from + (lowest - from) * k / 120).concat(here).sort((a, b) => b - a)
    .map((x) => [x, ratio(sample, state.rate, state.steps, 10 ** x)]);
  const labels = [], every = Math.ceil((from - lowest) / 7);
  for (let k = Math.ceil(lowest); k <= from; k += every) labels.push([k, `10<tspan class="power" dy="-4">${String(k).replace("-", "\u2212")}</tspan>`]);
  curve("by-level", {from, to: lowest, ticks: labels, label: "train loss to stop at (longer training to the right)"},
    byLevel, [here, now], () => "");
  const last = byLevel.map(([, value]) => value >= HELPS).lastIndexOf(true);
  find("until").textContent = last < 0 ? "At no train loss do these large steps help." : last === byLevel.length - 1
    ? "These large steps help to the lowest train loss shown." : `Trained below ${show(10 ** byLevel[last][0])}, these large steps help no more.`;
}

function update(field) {
  const sample = samples()[state.sample], small = descend(sample, 0, 0, state.level);
  const large = descend(sample, state.rate, state.steps, state.level);
  fill(field);
  find("sentence").textContent = verdict(sample, state, small, large);
  find("reason").textContent = reason(sample, state, large);
  find("about").textContent = `seed ${sample.seed}: curvatures ${sample.curvature.map(plain).join(" and ")}`;
  table(sample, small, large);
  planes(sample, small, large);
  curves(sample);
}

function reset() {
  Object.assign(state, data.own);
  if (find("group")) find("group").value = state.group;
  ranges();
  update(null);
}

document.documentElement.classList.add("live");
document.querySelector("form").addEventListener("input", changed);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
find("reset").addEventListener("click", reset);
reset();
})();
