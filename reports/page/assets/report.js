/* Draws the figures from the data in the page, for the width, the colour scheme and the stretch of time looked at. */
(() => {
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const LANE_NAMES = {load: "Load", cpu: "CPU", gpu: "GPU", ane: "ANE"};
const LOAD = 0, RUN = 1, EVICT = 2;
const HOLDERS = ["baseline", "residual", "resident", "loading", "working"];
const HOLDER_NAMES = {
  baseline: "app baseline", residual: "left by unloaded", resident: "resident blocks", loading: "being loaded",
  working: "working memory",
};
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif';
const CONFIG = {displayModeBar: false, doubleClick: false, responsive: false, scrollZoom: false};
const END = 1.012 * Math.max(1e-6, ...DATA.traces.map(t => Math.max(t.total, t.kill ? t.kill.time : 0)));
const MIN_SPAN = 1e-4;
let view = [0, END];
let printing = false;

/* ---- words ---- */
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
function figures3(x) { const a = Math.abs(x); return a >= 99.95 ? x.toFixed(0) : a >= 9.995 ? x.toFixed(1) : x.toFixed(2); }
function bytes(n) {
  for (const [factor, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (Math.abs(n) >= factor * 0.9995) return figures3(n / factor) + " " + unit;
  return n.toFixed(0) + " B";
}
function seconds(s) {
  if (s >= 119.5) {
    const w = Math.round(s), m = Math.floor(w / 60), h = Math.floor(m / 60), two = n => String(n).padStart(2, "0");
    return h ? `${h} h ${two(m % 60)} min` : `${m} min ${two(w % 60)} s`;
  }
  if (s >= 0.9995 || s === 0) return figures3(s) + " s";
  return s >= 0.9995e-3 ? figures3(s * 1e3) + " ms" : figures3(s * 1e6) + " µs";
}
const clock = s => s >= 60 ? `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")} min` : s.toFixed(3) + " s";

/* ---- looks ---- */
function theme() {
  const style = getComputedStyle(document.documentElement);
  return name => style.getPropertyValue("--" + name).trim();
}
function mix(color, ground, share) {
  const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const a = rgb(color), b = rgb(ground);
  return "rgb(" + a.map((v, i) => Math.round(v * share + b[i] * (1 - share))).join(",") + ")";
}
const canvas = document.createElement("canvas").getContext("2d");
function textWidth(text, size) { canvas.font = `${size}px ${FONT}`; return canvas.measureText(text).width; }
function shorten(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  let kept = text;
  while (kept.length > 1 && textWidth(kept + "…", size) > width) kept = kept.slice(0, -1);
  return kept + "…";
}
function widthOf(div) { return printing ? Math.min(680, div.clientWidth || 680) : div.clientWidth; }

function baseLayout(color, width, height, margin) {
  return {
    width, height, margin, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: {family: FONT, size: 12, color: color("muted")}, barmode: "overlay", bargap: 0,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hoverlabel: {bgcolor: color("panel"), bordercolor: color("muted"), font: {family: FONT, size: 12, color: color("text")}, align: "left"},
    hoverdistance: 8, selectdirection: "h", transition: {duration: 0}, shapes: [], annotations: [],
  };
}
function timeAxis(color, range, width, name) {
  const span = range[1] - range[0], most = Math.max(4, Math.floor(width / 62));
  const inMinutes = span > 240;
  const steps = inMinutes
    ? [30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 36000]
    : [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60];
  const step = steps.find(s => span / s <= most) || span / most;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const tickvals = [], ticktext = [];
  for (let i = Math.ceil(range[0] / step - 1e-6); i * step <= range[1] + 1e-9; i++) {
    tickvals.push(i * step);
    const value = inMinutes ? (step < 60 ? (i * step / 60).toFixed(1) : String(Math.round(i * step / 60))) : (i * step).toFixed(digits);
    ticktext.push(value);
  }
  return {
    range: range.slice(), tickmode: "array", tickvals, ticktext, showgrid: true, gridcolor: color("line"), zeroline: false,
    showline: false, ticks: "", tickfont: {size: 12, color: color("muted")}, ticklabelstandoff: 5, fixedrange: false, layer: "below traces",
    title: {text: (name || "time") + (inMinutes ? ", min" : ", s"), font: {size: 12, color: color("muted")}, standoff: 6},
  };
}
function bars(base, axis) {
  return {
    type: "bar", orientation: "h", base: [], x: [], y: [], width: [], hovertext: [], hoverinfo: "text", text: [],
    textposition: "inside", insidetextanchor: "middle", textangle: 0, constraintext: "none", cliponaxis: true,
    insidetextfont: {size: 11, color: [], family: FONT},
    marker: {color: [], line: {width: [], color: base}, pattern: {shape: [], size: 6, solidity: 0.25, fillmode: "overlay", fgcolor: base, fgopacity: 0.5}},
    xaxis: "x", yaxis: axis || "y",
  };
}
function addBar(trace, from, to, y, height, fill, ink, label, hover, hatched, edge) {
  trace.base.push(from); trace.x.push(to - from); trace.y.push(y); trace.width.push(height);
  trace.marker.color.push(fill); trace.marker.pattern.shape.push(hatched ? "/" : ""); trace.marker.line.width.push(edge);
  trace.text.push(label); trace.insidetextfont.color.push(ink); trace.hovertext.push(hover);
}

/* ---- spans ---- */
function spanWords(trace, i) {
  const s = trace.spans, action = s.action[i];
  const what = action === LOAD ? (s.cold[i] ? "First load" : "Load") : action === EVICT ? "Unload" : s.cold[i] ? "First run" : "Run";
  const variant = s.variants[s.variant[i]];
  return `<b>${plain(s.blocks[s.block[i]])}</b><br>${what}, ${seconds(s.end[i] - s.start[i])}`
    + `<br>${plain(DATA.components[s.component[i]])}, step ${s.step[i]}${variant && variant !== "plain" ? ", " + plain(variant) : ""}`
    + `<br>${clock(s.start[i])} to ${clock(s.end[i])}<br>${bytes(s.bytes[i])} ${action === RUN ? "working" : action === LOAD ? "read" : "released"}`;
}
/* Bars of one lane for a stretch of time. What is narrower than a few pixels is joined with its neighbours of the same
   step, and keeps how busy it was; zooming in takes the joined bars apart. */
function laneBars(trace, lane, from, to, perPixel) {
  const s = trace.spans, joined = [];
  let group = null;
  for (let i = 0; i < s.start.length; i++) {
    if (s.lane[i] !== lane || s.end[i] < from || s.start[i] > to) continue;
    const seconds = s.end[i] - s.start[i], narrow = seconds < 5 * perPixel;
    if (s.action[i] === EVICT && seconds < 1.5 * perPixel) continue;
    const same = group && narrow && group.narrow && group.component === s.component[i] && group.action === s.action[i]
      && group.cold === s.cold[i] && s.start[i] - group.end < 12 * perPixel
      && (group.step === s.step[i] || group.end - group.start < 4 * perPixel);
    if (same) {
      group.end = s.end[i]; group.busy += seconds; group.count++; group.lastStep = s.step[i];
    } else {
      group = {start: s.start[i], end: s.end[i], busy: seconds, count: 1, first: i, narrow, component: s.component[i],
        action: s.action[i], cold: s.cold[i], step: s.step[i], lastStep: s.step[i]};
      joined.push(group);
    }
  }
  return joined;
}
function groupWords(trace, g) {
  if (g.count === 1) return spanWords(trace, g.first);
  const what = g.action === LOAD ? (g.cold ? "first loads" : "loads") : g.action === RUN ? (g.cold ? "first runs" : "runs") : "unloads";
  const steps = g.step === g.lastStep ? `step ${g.step}` : `steps ${g.step} to ${g.lastStep}`;
  return `<b>${plain(DATA.components[g.component])}, ${steps}</b><br>${g.count} ${what}, ${seconds(g.busy)}`
    + `<br>busy ${(100 * g.busy / (g.end - g.start)).toFixed(0)} % of ${seconds(g.end - g.start)}`
    + `<br>${clock(g.start)} to ${clock(g.end)}`;
}
/* The place of each block in its component, from 1, in order of first run: what a bar is called when its name is too long. */
function blockNumbers(trace) {
  if (!trace.numbers) {
    const s = trace.spans, counts = new Map();
    trace.numbers = new Map();
    for (let i = 0; i < s.start.length; i++) {
      const key = s.component[i] + "/" + s.block[i];
      if (s.action[i] !== RUN || trace.numbers.has(key)) continue;
      counts.set(s.component[i], 1 + (counts.get(s.component[i]) || 0));
      trace.numbers.set(key, counts.get(s.component[i]));
    }
  }
  return trace.numbers;
}
function passes(trace) {
  if (!trace.passes) {
    const steps = new Map();
    trace.spans.step.forEach((step, i) => {
      const component = trace.spans.component[i];
      steps.set(component, (steps.get(component) || new Set()).add(step));
    });
    trace.passes = new Map([...steps].map(([component, found]) => [component, found.size]));
  }
  return trace.passes;
}
function groupLabel(trace, g, pixels) {
  const block = trace.spans.block[g.first], number = blockNumbers(trace).get(g.component + "/" + block);
  const choices = g.action === EVICT ? [] : g.count === 1 ? [trace.spans.blocks[block], number ? String(number) : ""]
    : passes(trace).get(g.component) === 1 ? [DATA.components[g.component]] : g.step === g.lastStep ? [`step ${g.step}`, String(g.step)] : [];
  return plain(choices.find(text => textWidth(text, 11) + 6 <= pixels) || "");
}

/* ---- figures ---- */
const LEFT = 46, RIGHT = 12;
function lanesFigure(div) {
  const color = theme(), trace = DATA.traces[+div.dataset.trace], width = widthOf(div);
  const last = document.querySelectorAll('[data-figure="lanes"]').length === 1 + +div.dataset.trace;
  const inner = width - LEFT - RIGHT, span = view[1] - view[0], perPixel = span / inner;
  const row = bars(color("panel"));
  const from = view[0] - span * 0.5, to = view[1] + span * 0.5;
  trace.lanes.forEach((lane, y) => {
    for (const g of laneBars(trace, lane, from, to, perPixel)) {
      const share = g.count === 1 ? 1 : Math.min(1, 0.15 + 0.85 * g.busy / (g.end - g.start));
      const fill = g.action === EVICT ? color("faint") : mix(color("c" + g.component % 8), color("panel"), share);
      const start = Math.max(g.start, from), end = Math.min(g.end, to);
      const seen = (Math.min(end, view[1]) - Math.max(start, view[0])) / perPixel;
      const pixels = (g.end - g.start) / perPixel;
      addBar(row, Math.max(start, Math.min(view[0], end)), Math.min(end, Math.max(view[1], start)), y, g.action === EVICT ? 0.44 : 0.74, fill,
        share > 0.55 ? color("on-c") : color("text"), groupLabel(trace, g, seen), groupWords(trace, g),
        g.cold && pixels > 3, pixels > 5 ? 1 : 0);
    }
  });
  const layout = baseLayout(color, width, trace.lanes.length * 40 + (last ? 10 : 6) + 4, {l: LEFT, r: RIGHT, t: 4, b: 6, pad: 0});
  layout.hovermode = "closest";
  layout.xaxis = timeAxis(color, view, inner);
  layout.xaxis.showticklabels = false; layout.xaxis.title = {text: ""};
  layout.yaxis = {range: [trace.lanes.length - 0.5, -0.5], tickvals: trace.lanes.map((_, y) => y),
    ticktext: trace.lanes.map(lane => LANE_NAMES[DATA.lanes[lane]]), fixedrange: true, showgrid: false, zeroline: false,
    tickfont: {size: 12, color: color("text")}, ticklabelstandoff: 4};
  if (trace.kill) layout.shapes.push(killLine(color, trace));
  return {data: [row], layout};
}
const killLine = (color, trace) => ({type: "line", x0: trace.kill.time, x1: trace.kill.time, yref: "paper", y0: 0, y1: 1,
  line: {color: color("bad"), width: 2}});

/* The samples that a stretch of time needs: per pixel the largest and the smallest footprint, so no peak is lost. */
function thin(memory, from, to, perPixel) {
  const times = memory.time, kept = [];
  const total = i => HOLDERS.reduce((sum, holder) => sum + memory[holder][i], 0);
  let first = 0;
  while (first + 1 < times.length && times[first + 1] <= from) first++;
  let i = first;
  while (i < times.length && times[i] <= to) {
    const stop = times[i] + perPixel;
    let high = i, low = i, last = i;
    for (; i < times.length && times[i] < stop; i++) {
      if (total(i) > total(high)) high = i;
      if (total(i) < total(low)) low = i;
      last = i;
    }
    if (last === i) i++;
    kept.push(...new Set([high, low, last].sort((a, b) => a - b)));
  }
  return kept;
}
/* The largest and smallest value in each stretch of `width`, the value carried into it included; as it is where sparse. */
function envelope(time, values, width) {
  if (!time.length || time.length < 0.5 * (time[time.length - 1] - time[0]) / width) return [time, values, values];
  const x = [], low = [], high = [];
  for (let i = 0; i < time.length;) {
    const stop = time[i] + width;
    x.push(time[i]);
    let least = i ? values[i - 1] : values[i], most = least;
    for (; i < time.length && time[i] < stop; i++) { least = Math.min(least, values[i]); most = Math.max(most, values[i]); }
    low.push(least); high.push(most);
  }
  x.push(time[time.length - 1]); low.push(values[values.length - 1]); high.push(values[values.length - 1]);
  return [x, low, high];
}
const FARTHEST_LIMIT = 10; // times the most that is held: drawn farther up, it would flatten the curve
const DASHES = ["solid", "dash", "dot"];
function memoryFigure(div) {
  const color = theme(), width = widthOf(div), inner = width - LEFT - RIGHT, span = view[1] - view[0], perPixel = span / inner;
  const several = DATA.traces.length > 1, data = [];
  const layout = baseLayout(color, width, width < 560 ? 250 : 300, {l: LEFT, r: RIGHT, t: 22, b: 42, pad: 0});
  const from = view[0] - span * 0.5, to = view[1] + span * 0.5;
  let top = 0, held = 0;
  DATA.traces.forEach(({memory}) => memory.time.forEach((_, i) => { held = Math.max(held, HOLDERS.reduce((sum, holder) => sum + memory[holder][i], 0)); }));
  const isDrawn = limit => limit <= FARTHEST_LIMIT * held;
  DATA.traces.forEach((trace, number) => {
    const memory = trace.memory, kept = thin(memory, from, to, perPixel);
    const time = kept.map(i => Math.max(memory.time[i], 0));
    const totals = kept.map(i => HOLDERS.reduce((sum, holder) => sum + memory[holder][i], 0));
    const end = trace.kill ? trace.kill.time : trace.total;
    if (time.length && end > time[time.length - 1] && end <= to) { time.push(end); kept.push(kept[kept.length - 1]); totals.push(totals[totals.length - 1]); }
    top = Math.max(top, held, isDrawn(trace.limit) ? trace.limit : 0, trace.kill ? trace.kill.bytes : 0, trace.budget || 0);
    if (!several) {
      for (const holder of HOLDERS) {
        if (!memory[holder].some(v => v > 0)) continue;
        data.push({type: "scatter", mode: "lines", name: HOLDER_NAMES[holder], stackgroup: "all", x: time, y: kept.map(i => memory[holder][i] / 1e9),
          line: {width: 0, shape: "hv"}, fillcolor: color("h-" + holder), customdata: kept.map(i => bytes(memory[holder][i])),
          hovertemplate: "%{customdata}"});
      }
    }
    const line = {type: "scatter", mode: "lines", hovertemplate: "%{customdata}"};
    if (!several) {
      data.push({...line, name: "<b>total</b>", x: time, y: totals.map(v => v / 1e9), line: {width: 0, shape: "hv"}, customdata: totals.map(bytes)});
    } else {
      const own = color("t" + number % 6), dash = DASHES[Math.floor(number / 6) % 3], [x, low, high] = envelope(time, totals, 4 * perPixel);
      data.push({...line, x, y: low.map(v => v / 1e9), line: {width: 0, shape: "hv"}, hoverinfo: "skip", hovertemplate: undefined});
      data.push({...line, name: LETTER(number), x, y: high.map(v => v / 1e9), line: {width: 1.8, shape: "hv", color: own, dash},
        fill: "tonexty", fillcolor: own + "30", customdata: high.map(bytes)});
    }
    if (trace.kill) {
      layout.shapes.push(killLine(color, trace));
      const late = trace.kill.time > (view[0] + view[1]) / 2, inside = trace.kill.time >= view[0] && trace.kill.time <= view[1];
      data.push({type: "scatter", mode: "markers", x: [trace.kill.time], y: [trace.kill.bytes / 1e9], hoverinfo: "skip", cliponaxis: false,
        marker: {symbol: "x", size: 11, color: color("bad"), line: {width: 2, color: color("panel")}}});
      if (inside) layout.annotations.push({x: trace.kill.time, y: 0.04, yref: "paper", xanchor: late ? "right" : "left", yanchor: "bottom", xshift: late ? -5 : 5,
        text: `${several ? LETTER(number) + " " : ""}killed, ${bytes(trace.kill.bytes)}`, showarrow: false, bgcolor: color("panel"), borderpad: 2, font: {color: color("bad"), size: 12}});
    } else if (!several && memory.time.length) {
      let peak = 0;
      const total = i => HOLDERS.reduce((sum, holder) => sum + memory[holder][i], 0);
      for (let i = 1; i < memory.time.length; i++) if (total(i) > total(peak)) peak = i;
      data.push({type: "scatter", mode: "markers", x: [memory.time[peak]], y: [total(peak) / 1e9], hoverinfo: "skip", cliponaxis: false,
        marker: {symbol: "circle", size: 8, color: color("panel"), line: {width: 2, color: color("text")}}});
    }
  });
  const limits = new Map();
  DATA.traces.forEach((trace, number) => limits.set(trace.limit, [...(limits.get(trace.limit) || []), number]));
  const late = DATA.traces.some(trace => trace.kill && trace.kill.time > view[0] + 0.6 * span && trace.kill.time <= view[1]);
  [...limits].sort((a, b) => b[0] - a[0]).forEach(([limit, who], place) => {
    const atLeft = Boolean(place % 2) !== late;
    const whose = limits.size > 1 ? " of " + who.map(LETTER).join(", ") : "", drawn = isDrawn(limit);
    if (drawn) layout.shapes.push({type: "line", xref: "paper", x0: 0, x1: 1, y0: limit / 1e9, y1: limit / 1e9, line: {color: color("bad"), width: 1.5, dash: "dash"}});
    const at = drawn ? {y: limit / 1e9} : {y: 1, yref: "paper"}, words = `limit${whose} ${bytes(limit)}`;
    layout.annotations.push({xref: "paper", x: atLeft ? 0 : 1, xanchor: atLeft ? "left" : "right", ...at, yanchor: "bottom", text: drawn ? words : `${words}, far above`, showarrow: false,
      font: {color: color("bad"), size: 12}});
  });
  const budget = several ? null : DATA.traces[0].budget;
  if (budget !== null) {
    layout.shapes.push({type: "line", xref: "paper", x0: 0, x1: 1, y0: budget / 1e9, y1: budget / 1e9, line: {color: color("text"), width: 1.2, dash: "dot"}});
  }
  layout.hovermode = "x unified";
  layout.xaxis = timeAxis(color, view, inner);
  layout.xaxis.hoverformat = ".3f";
  layout.xaxis.unifiedhovertitle = {text: "%{x:.3f} s"};
  layout.yaxis = {range: [0, top / 1e9 * 1.04], fixedrange: true, gridcolor: color("line"), zeroline: false, nticks: 6, tickfont: {size: 12, color: color("muted")},
    layer: "below traces"};
  layout.annotations.push({xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "right", xshift: -6, yanchor: "bottom", yshift: 4, text: "GB", showarrow: false,
    font: {color: color("muted"), size: 12}});
  return {data, layout};
}
const LETTER = number => String.fromCharCode(65 + number % 26);

/* One step: lanes on top, and beneath them a row per block, where the load of a block lies under the run before it. */
function stepFigure(div) {
  const color = theme(), trace = DATA.traces[+div.dataset.trace], step = trace.step, s = trace.spans, width = widthOf(div);
  const length = step.end - step.start, range = div.stepView || [-0.01 * length, 1.01 * length];
  const rows = [], rowOf = new Map(), inside = [];
  for (let i = 0; i < s.start.length; i++) {
    if (s.end[i] <= step.start || s.start[i] >= step.end) continue;
    inside.push(i);
    if (s.action[i] === RUN && s.component[i] === step.component && s.step[i] === step.step && !rowOf.has(s.block[i])) {
      rowOf.set(s.block[i], rows.length); rows.push(s.block[i]);
    }
  }
  const shown = rows.length <= 80 ? rows : [];
  const names = shown.map(block => shorten(s.blocks[block], width < 560 ? 84 : 190, 11));
  const left = Math.max(LEFT, 14 + Math.max(0, ...names.map(name => textWidth(name, 11)))), inner = width - left - RIGHT;
  const perPixel = (range[1] - range[0]) / inner;
  const lanes = trace.lanes.filter(lane => inside.some(i => s.lane[i] === lane));
  const strip = bars(color("panel")), fall = bars(color("panel"), "y2"), waiting = {type: "scatter", mode: "lines", x: [], y: [], yaxis: "y2", hoverinfo: "skip",
    line: {color: color("muted"), width: 1}};
  const loaded = new Map();
  const pixelsOf = i => (Math.min(s.end[i] - step.start, range[1]) - Math.max(s.start[i] - step.start, range[0])) / perPixel;
  const indexOf = i => rowOf.has(s.block[i]) ? String(1 + rowOf.get(s.block[i])) : "";
  const labelled = new Set(lanes.filter(lane => {
    const asked = inside.filter(i => s.lane[i] === lane && s.action[i] !== EVICT && pixelsOf(i) > 2);
    return asked.filter(i => textWidth(indexOf(i), 11) + 5 <= pixelsOf(i)).length > 0.7 * asked.length;
  }));
  for (const i of inside) {
    const from = s.start[i] - step.start, to = s.end[i] - step.start, pixels = pixelsOf(i);
    const fill = s.action[i] === LOAD ? color("step-load") : s.action[i] === RUN ? color("step-run") : color("faint");
    const own = s.component[i] === step.component, name = s.blocks[s.block[i]];
    const label = s.action[i] === EVICT || !own || !labelled.has(s.lane[i]) ? "" : [name, indexOf(i)].find(text => textWidth(text, 11) + 5 <= pixels) || "";
    const clipFrom = Math.max(from, Math.min(range[0], to)), clipTo = Math.min(to, Math.max(range[1], from));
    addBar(strip, clipFrom, clipTo, lanes.indexOf(s.lane[i]), s.action[i] === EVICT ? 0.44 : 0.78, fill, color("on-c"), plain(label), spanWords(trace, i), s.cold[i] && pixels > 3, pixels > 4 ? 1 : 0);
    if (!own || !rowOf.has(s.block[i]) || !shown.length) continue;
    const y = rowOf.get(s.block[i]);
    addBar(fall, clipFrom, clipTo, y, s.action[i] === RUN ? 0.8 : s.action[i] === LOAD ? 0.8 : 0.4, fill, color("on-c"), "", spanWords(trace, i), false, 0);
    if (s.action[i] === LOAD) loaded.set(s.block[i], to);
    if (s.action[i] === RUN && s.step[i] === step.step) {
      waiting.x.push(loaded.has(s.block[i]) && loaded.get(s.block[i]) <= from + 1e-9 ? loaded.get(s.block[i]) : 0, from, null);
      waiting.y.push(y, y, null);
    }
  }
  const stripHeight = lanes.length * 34, fallHeight = shown.length * 16, gap = shown.length ? 14 : 0;
  const height = stripHeight + gap + fallHeight + 8 + 42, plotHeight = height - 50;
  const layout = baseLayout(color, width, height, {l: left, r: RIGHT, t: 8, b: 42, pad: 0});
  layout.hovermode = "closest";
  layout.xaxis = timeAxis(color, range, inner, "time in the step");
  layout.xaxis.anchor = shown.length ? "y2" : "y";
  const axis = {fixedrange: true, showgrid: false, zeroline: false, ticklabelstandoff: 4};
  layout.yaxis = {...axis, range: [lanes.length - 0.5, -0.5], domain: [1 - stripHeight / plotHeight, 1], tickvals: lanes.map((_, y) => y),
    ticktext: lanes.map(lane => LANE_NAMES[DATA.lanes[lane]]), tickfont: {size: 12, color: color("text")}};
  layout.yaxis2 = {...axis, range: [shown.length - 0.5, -0.5], domain: [0, fallHeight / plotHeight], tickvals: shown.map((_, y) => y), ticktext: names.map(plain),
    tickfont: {size: 11, color: color("muted")}};
  for (const x of [0, length]) layout.shapes.push({type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: {color: color("muted"), width: 1, dash: "dot"}});
  return {data: shown.length ? [strip, waiting, fall] : [strip], layout};
}

/* ---- keeping them drawn ---- */
const FIGURES = {lanes: lanesFigure, memory: memoryFigure, step: stepFigure};
const plots = () => [...document.querySelectorAll(".plot")];
function draw(div) {
  if (!div.clientWidth && !printing) return;
  if (div.dataset.figure === "step" && !DATA.traces[+div.dataset.trace].step) return;
  const figure = FIGURES[div.dataset.figure](div);
  div.drawing = true;
  const first = !div.on;
  Plotly.react(div, figure.data, figure.layout, CONFIG).then(() => { div.drawing = false; div.classList.add("drawn"); });
  if (first) {
    div.on("plotly_relayout", change => { if (!div.drawing) zoomed(div, change); });
    div.on("plotly_doubleclick", () => { if (div.dataset.figure === "step") { div.stepView = null; draw(div); } else show([0, END]); });
  }
}
function drawAll(kind) { for (const div of plots()) if (!kind || kind.includes(div.dataset.figure)) draw(div); }
function zoomed(div, change) {
  const range = change["xaxis.range"] || (change["xaxis.range[0]"] !== undefined ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : null);
  if (div.dataset.figure === "step") { div.stepView = range; draw(div); return; }
  show(range || [0, END]);
}
function show(range) {
  const span = Math.min(END, Math.max(MIN_SPAN, range[1] - range[0]));
  const start = Math.min(Math.max(0, range[0]), END - span);
  view = [start, start + span];
  for (const button of document.querySelectorAll("[data-from]")) {
    const [from, to] = padded(button);
    button.setAttribute("aria-pressed", String(Math.abs(from - view[0]) + Math.abs(to - view[1]) < 1e-6 * END));
  }
  drawAll(["lanes", "memory"]);
}
function padded(button) {
  const from = +button.dataset.from, to = +button.dataset.to;
  if (button.dataset.whole !== undefined) return [0, END];
  const pad = 0.02 * (to - from), start = Math.max(0, from - pad);
  return [start, Math.min(END, Math.max(to + pad, start + MIN_SPAN))];
}
document.querySelectorAll("[data-from]").forEach((button, index) => {
  if (index === 0) button.dataset.whole = "";
  button.addEventListener("click", () => show(padded(button)));
});
for (const button of document.querySelectorAll("[data-move]")) {
  button.addEventListener("click", () => {
    const [a, b] = view, span = b - a, middle = (a + b) / 2;
    const to = {left: [a - span / 2, b - span / 2], right: [a + span / 2, b + span / 2], in: [middle - span / 4, middle + span / 4], out: [middle - span, middle + span]};
    show(to[button.dataset.move]);
  });
}
for (const button of document.querySelectorAll(".fold")) {
  button.addEventListener("click", () => {
    const members = button.closest("tbody").nextElementSibling;
    members.hidden = !members.hidden;
    button.setAttribute("aria-expanded", String(!members.hidden));
  });
}
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => drawAll(["step"]));

let pending = 0, lastWidth = document.documentElement.clientWidth;
function redrawSoon() { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => drawAll()); }
new ResizeObserver(() => {
  const width = document.documentElement.clientWidth;
  if (width !== lastWidth) { lastWidth = width; redrawSoon(); }
}).observe(document.documentElement);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawSoon);
addEventListener("beforeprint", () => { printing = true; drawAll(); });
addEventListener("afterprint", () => { printing = false; redrawSoon(); });
show([0, END]);
drawAll(["step"]);
})();
