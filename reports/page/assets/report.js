/* The page of one or more runs: lanes and memory over time, and one step enlarged. */
const LOAD = 0, RUN = 1, EVICT = 2;
const MIN_SPAN = 1e-4;
let END = 0, view = [0, 0];

const ticksIn = width => Math.max(4, Math.floor(width / 62));
/* Moments and ticks are in one unit whatever the zoom, the unit in which Python tells them: min:s, s or ms. */
const PER_SECOND = {"s": 1, "ms": 1e3, "\u00b5s": 1e6};
const moment = seconds => DATA.time.includes(":") ? clock(seconds, 2) : `${(seconds * PER_SECOND[DATA.time]).toFixed(3)} ${DATA.time}`;
function timeAxis(color, range, width, name, unit = DATA.time) {
  const isClock = unit.includes(":"), factor = isClock ? 1 : PER_SECOND[unit], most = ticksIn(width);
  const step = tickStep((range[1] - range[0]) * factor, most, isClock), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), tickvals = [], ticktext = [];
  for (let i = Math.max(0, Math.ceil(range[0] * factor / step - 1e-6)); i * step <= range[1] * factor; i++) {
    tickvals.push(i * step / factor);
    ticktext.push(isClock ? clock(i * step, digits) : (i * step).toFixed(digits));
  }
  return {...numberAxis(color, `${name || "time"}, ${unit}`, range.slice(), most), fixedrange: false, tickmode: "array", tickvals, ticktext};
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
/* Moments come as microseconds from each to the next. */
function secondsOf(steps) { let at = 0; return steps.map(step => (at += step) / 1e6); }
function spanWords({spans: s}, i) {
  const told = [s.words[s.does[i]], `${DATA.components[s.component[i]]}, step ${s.step[i]}${s.words[s.variant[i]]}`, `${moment(s.start[i])} to ${moment(s.end[i])}`, s.words[s.holds[i]]];
  return `<b>${plain(s.blocks[s.block[i]])}</b><br>${lines(told.join("\n"))}`;
}
/* Bars of one lane for a stretch of time. What is narrower than a few pixels is joined with its neighbours of the same
   pass, and keeps how busy it was; zooming in takes the joined bars apart. */
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
  const [title, ...rest] = trace.passes[trace.spans.pass[g.first]].split("\n");
  if (g.step === g.lastStep) return `<b>${plain(title)}</b><br>${lines(rest.join("\n"))}`;
  return `<b>${plain(DATA.components[g.component])}, steps ${g.step} to ${g.lastStep}</b><br>zoom in to see each`;
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
function isOnlyBlock(trace, component) {
  return [...blockNumbers(trace).keys()].filter(key => key.startsWith(component + "/")).length === 1;
}
function numPasses(trace) {
  if (!trace.numPasses) {
    const steps = new Map();
    trace.spans.step.forEach((step, i) => {
      const component = trace.spans.component[i];
      steps.set(component, (steps.get(component) || new Set()).add(step));
    });
    trace.numPasses = new Map([...steps].map(([component, found]) => [component, found.size]));
  }
  return trace.numPasses;
}
function groupLabel(trace, g, pixels) {
  const block = trace.spans.block[g.first], number = blockNumbers(trace).get(g.component + "/" + block);
  const passes = numPasses(trace).get(g.component), isBlock = g.count === 1 && !(passes > 1 && isOnlyBlock(trace, g.component));
  const choices = g.action === EVICT ? [] : isBlock ? [trace.spans.blocks[block], number ? String(number) : ""]
    : passes === 1 ? [DATA.components[g.component]] : g.step === g.lastStep ? [`step ${g.step}`, String(g.step)] : [];
  return plain(choices.find(text => textWidth(text, 11) + 6 <= pixels) || "");
}

/* ---- figures ---- */
const LEFT = 46, RIGHT = 12;
const dragmode = () => matchMedia("(pointer: coarse)").matches ? false : "zoom";
function lanesFigure(div, isAlone) {
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
        inkOn(fill), groupLabel(trace, g, seen), groupWords(trace, g),
        g.cold && pixels > 3, pixels > 5 ? 1 : 0);
    }
  });
  const layout = baseLayout(color, width, trace.lanes.length * 40 + (last ? 10 : 6) + 4, {l: LEFT, r: RIGHT, t: 4, b: 6});
  layout.dragmode = dragmode();
  layout.xaxis = timeAxis(color, view, inner);
  if (isAlone) { layout.height += 36; layout.margin.b += 36; }
  else { layout.xaxis.showticklabels = false; layout.xaxis.title = {text: ""}; }
  layout.yaxis = {range: [trace.lanes.length - 0.5, -0.5], tickvals: trace.lanes.map((_, y) => y),
    ticktext: trace.lanes.map(lane => DATA.lanes[lane]), fixedrange: true, showgrid: false, zeroline: false,
    tickfont: {size: 12, color: color("text")}, ticklabelstandoff: 4};
  if (trace.kill) layout.shapes.push(killLine(color, trace));
  return {data: [row], layout};
}
const killLine = (color, trace) => ({type: "line", x0: trace.kill.time, x1: trace.kill.time, yref: "paper", y0: 0, y1: 1,
  line: {color: color("bad"), width: 2}});

/* The samples that a stretch of time needs: per pixel the largest and the smallest footprint, so no peak is lost. */
function thin({time, total}, from, to, perPixel) {
  const kept = [];
  let i = 0;
  while (i + 1 < time.length && time[i + 1] <= from) i++;
  while (i < time.length && time[i] <= to) {
    const stop = time[i] + perPixel;
    let high = i, low = i, last = i;
    for (; i < time.length && time[i] < stop; i++) {
      if (total[i] > total[high]) high = i;
      if (total[i] < total[low]) low = i;
      last = i;
    }
    if (last === i) i++;
    kept.push(...new Set([high, low, last].sort((a, b) => a - b)));
  }
  return kept;
}
/* Places in `kept` of the largest and the smallest footprint in each stretch of `width`, the one carried into it
   included; all of them where they are sparse. */
function envelope(x, totals, width) {
  const every = x.map((_, k) => k);
  if (x.length < 0.5 * (x[x.length - 1] - x[0]) / width) return {at: every, low: every, high: every};
  const at = [], low = [], high = [];
  for (let k = 0; k < x.length;) {
    const stop = x[k] + width;
    let least = Math.max(0, k - 1), most = least;
    at.push(k);
    for (; k < x.length && x[k] < stop; k++) {
      if (totals[k] < totals[least]) least = k;
      if (totals[k] > totals[most]) most = k;
    }
    low.push(least); high.push(most);
  }
  for (const each of [at, low, high]) each.push(x.length - 1);
  return {at, low, high};
}
/* Series differ by their dashes, and what holds memory by its hatching, as well as by colour: see the legends. */
const DASHES = ["solid", "dash", "dot"];
const HATCHES = {loading: "/", working: "."};
function memoryFigure(div) {
  const color = theme(), width = widthOf(div), inner = width - LEFT - RIGHT, span = view[1] - view[0], perPixel = span / inner;
  const several = DATA.traces.length > 1, held = Math.max(0, ...DATA.traces.map(({peak}) => peak ? peak.bytes : 0));
  const layout = baseLayout(color, width, width < NARROW ? 250 : 300, {l: LEFT, r: RIGHT, t: 22, b: 42});
  const data = [], tops = [held];
  DATA.traces.forEach((trace, number) => {
    const {memory, kill} = trace, kept = thin(memory, view[0] - span / 2, view[1] + span / 2, perPixel);
    const x = kept.map(i => Math.max(memory.time[i], 0)), end = kill ? kill.time : trace.total;
    if (x.length && end > x[x.length - 1] && end <= view[1] + span / 2) { x.push(end); kept.push(kept[kept.length - 1]); }
    if (memory.mapped && !several) tops.push(memory.mapped.reduce((most, bytes) => Math.max(most, bytes), 0));
    tops.push(kill ? kill.bytes : 0, trace.measured ? trace.measured.peak : 0);
    if (x.length) data.push(...(several ? bandOf(color, trace, number, x, kept, 4 * perPixel) : stackOf(color, memory, x, kept)));
    if (trace.measured) data.push(measuredOf(color, trace, number, several, perPixel));
    if (kill) {
      layout.shapes.push(killLine(color, trace));
      if (kill.time >= view[0] && kill.time <= view[1]) layout.annotations.push(killWords(color, trace, several));
    }
    data.push(...markOf(color, trace, several));
  });
  if (data.length) data.push(momentsOf(data[0].x));
  const {shapes, annotations, top, headroom} = limitLines(color, held);
  layout.shapes.push(...shapes);
  layout.annotations.push(...annotations);
  const budget = several ? null : DATA.traces[0].budget;
  if (budget !== null && budget <= DATA.farthestLimit * held) tops.push(budget);
  if (tops.includes(budget)) layout.shapes.push(budgetLine(color, {xref: "paper", x0: 0, x1: 1, y0: budget / DATA.size.bytes, y1: budget / DATA.size.bytes}));
  layout.hovermode = "x unified";
  layout.dragmode = dragmode();
  layout.xaxis = {...timeAxis(color, view, inner), unifiedhovertitle: {text: "<b>memory charged to the app</b>"}};
  layout.yaxis = {...numberAxis(color, "", [0, Math.max(top, ...tops) / DATA.size.bytes * headroom || 1], 6), ticklabelstandoff: 0};
  layout.annotations.push({xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "right", xshift: -6, yanchor: "bottom", yshift: 4, text: DATA.size.name, showarrow: false,
    font: {color: color("muted"), size: 12}});
  return {data, layout};
}
const LINE = {type: "scatter", mode: "lines", hovertemplate: "%{customdata}"};
/* Names the moment in the box that says what is held: the box's own title would be in bare seconds. */
const momentsOf = x => ({...LINE, name: "at", x, y: x.map(() => 0), line: {width: 0, shape: "hv"}, customdata: x.map(moment)});
/* What holds memory, stacked, and the total over it. */
function stackOf(color, memory, x, kept) {
  const held = DATA.holders.filter(({key}) => memory[key].some(v => v > 0)).map(({key, name}) => ({...LINE, name, stackgroup: "all", x,
    y: kept.map(i => memory[key][i] / DATA.size.bytes), line: {width: 0, shape: "hv"}, fillcolor: color("h-" + key), fillpattern: hatch(color, HATCHES[key]), customdata: kept.map(i => memory.told[key][i])}));
  const mapped = memory.mapped ? [{...LINE, name: "with files' pages", x, y: kept.map(i => memory.mapped[i] / DATA.size.bytes),
    line: {width: 1, shape: "hv", color: color("text"), dash: "dash"}, customdata: kept.map(i => memory.told.mapped[i])}] : [];
  return [...mapped, ...held, {...LINE, name: "<b>total</b>", x, y: kept.map(i => memory.total[i] / DATA.size.bytes), line: {width: 0, shape: "hv"}, customdata: kept.map(i => memory.told.total[i])}];
}
/* One run of several: a line for the highest, a band down to the lowest. */
function bandOf(color, trace, number, x, kept, width) {
  const {memory, letter} = trace, own = color("t" + number % 6), dash = DASHES[number % 3];
  const {at, low, high} = envelope(x, kept.map(i => memory.total[i]), width), across = at.map(k => x[k]);
  return [
    {...LINE, x: across, y: low.map(k => memory.total[kept[k]] / DATA.size.bytes), line: {width: 0, shape: "hv"}, hoverinfo: "skip", hovertemplate: undefined},
    {...LINE, name: letter, x: across, y: high.map(k => memory.total[kept[k]] / DATA.size.bytes), line: {width: 1.8, shape: "hv", color: own, dash},
      fill: "tonexty", fillcolor: own + "30", customdata: high.map(k => memory.told.total[kept[k]])},
  ];
}
/* What the system was seen to charge: a line over what the ledger says. */
function measuredOf(color, {measured, letter}, number, several, perPixel) {
  const span = view[1] - view[0], kept = thin(measured, view[0] - span / 2, view[1] + span / 2, perPixel);
  return {...LINE, name: several ? `${letter}, measured` : "measured by the system", x: kept.map(i => measured.time[i]), y: kept.map(i => measured.total[i] / DATA.size.bytes),
    line: {width: several ? 1.4 : 1.1, color: several ? color("t" + number % 6) : color("text"), dash: several ? "dot" : "solid"}, customdata: kept.map(i => measured.told[i])};
}
/* The moment of a kill, or of the peak where one run is shown. */
function markOf(color, trace, several) {
  const {kill, peak} = trace, mark = {type: "scatter", mode: "markers", hoverinfo: "skip", cliponaxis: false};
  if (kill) return [{...mark, x: [kill.time], y: [kill.bytes / DATA.size.bytes], marker: {symbol: "x", size: 11, color: color("bad"), line: {width: 2, color: color("panel")}}}];
  if (several || !peak) return [];
  return [{...mark, x: [peak.time], y: [peak.bytes / DATA.size.bytes], marker: {symbol: "circle", size: 8, color: color("panel"), line: {width: 2, color: color("text")}}}];
}
function killWords(color, {kill, letter}, several) {
  const late = kill.time > (view[0] + view[1]) / 2;
  /* Beside its cross; among several runs at the foot, where no limit is named. */
  const place = several ? {y: 0.04, yref: "paper"} : {y: kill.bytes / DATA.size.bytes, yshift: 4};
  return {x: kill.time, ...place, xanchor: late ? "right" : "left", yanchor: "bottom", xshift: late ? -5 : 5, showarrow: false,
    text: `${several ? letter + " " : ""}killed, ${plain(kill.told)}`, bgcolor: color("panel"), borderpad: 2, font: {color: color("bad"), size: 12}};
}
/* A dashed line for every limit, named at alternating ends; one far above all that is held is only named. */
function limitLines(color, held) {
  const limits = new Map(), shapes = [], annotations = [], span = view[1] - view[0];
  for (const trace of DATA.traces) limits.set(trace.limit.bytes, [...(limits.get(trace.limit.bytes) || []), trace]);
  const late = DATA.traces.some(({kill}) => kill && kill.time > view[0] + 0.6 * span && kill.time <= view[1]);
  let top = 0;
  [...limits].sort((a, b) => b[0] - a[0]).forEach(([limit, traces], place) => {
    const atLeft = Boolean(place % 2) !== late, isDrawn = limit <= DATA.farthestLimit * held;
    const whose = limits.size > 1 ? " of " + traces.map(trace => trace.letter).join(", ") : "";
    if (isDrawn) { top = Math.max(top, limit); shapes.push(limitLine(color, {xref: "paper", x0: 0, x1: 1, y0: limit / DATA.size.bytes, y1: limit / DATA.size.bytes})); }
    annotations.push({xref: "paper", x: atLeft ? 0 : 1, xanchor: atLeft ? "left" : "right", ...(isDrawn ? {y: limit / DATA.size.bytes} : {y: 1, yref: "paper"}), yanchor: "bottom",
      text: `limit${whose} ${plain(traces[0].limit.told)}${isDrawn ? "" : ", far above"}`, showarrow: false, font: {color: color("bad"), size: 12}});
  });
  /* Above the highest drawn: the name of its line, where that of a far one stands on top of all. */
  return {shapes, annotations, top, headroom: shapes.length < annotations.length ? 1.12 : 1.04};
}

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
  /* With the number by which a bar goes that is too narrow for the name. */
  const names = shown.map((block, place) => shorten((rows.length > 1 ? `${place + 1} · ` : "") + s.blocks[block], width < NARROW ? 96 : 200, 11));
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
    const fill = s.action[i] === LOAD ? color("p-stall") : s.action[i] === RUN ? color("p-run") : color("faint");
    const own = s.component[i] === step.component, name = s.blocks[s.block[i]];
    const label = s.action[i] === EVICT || !own || !labelled.has(s.lane[i]) ? "" : [name, indexOf(i)].find(text => textWidth(text, 11) + 5 <= pixels) || "";
    const clipFrom = Math.max(from, Math.min(range[0], to)), clipTo = Math.min(to, Math.max(range[1], from));
    addBar(strip, clipFrom, clipTo, lanes.indexOf(s.lane[i]), s.action[i] === EVICT ? 0.44 : 0.78, fill, inkOn(fill), plain(label), spanWords(trace, i), s.cold[i] && pixels > 3, pixels > 4 ? 1 : 0);
    if (!own || !rowOf.has(s.block[i]) || !shown.length) continue;
    const y = rowOf.get(s.block[i]);
    addBar(fall, clipFrom, clipTo, y, s.action[i] === RUN ? 0.8 : s.action[i] === LOAD ? 0.8 : 0.4, fill, inkOn(fill), "", spanWords(trace, i), false, 0);
    if (s.action[i] === LOAD) loaded.set(s.block[i], to);
    if (s.action[i] === RUN && s.step[i] === step.step) {
      waiting.x.push(loaded.has(s.block[i]) && loaded.get(s.block[i]) <= from + 1e-9 ? loaded.get(s.block[i]) : 0, from, null);
      waiting.y.push(y, y, null);
    }
  }
  const stripHeight = lanes.length * 34, fallHeight = shown.length * 16, gap = shown.length ? 14 : 0;
  const height = stripHeight + gap + fallHeight + 8 + 42, plotHeight = height - 50;
  const layout = baseLayout(color, width, height, {l: left, r: RIGHT, t: 8, b: 42});
  layout.dragmode = dragmode();
  layout.xaxis = timeAxis(color, range, inner, "time in the step", step.unit);
  layout.xaxis.anchor = shown.length ? "y2" : "y";
  const axis = {fixedrange: true, showgrid: false, zeroline: false, ticklabelstandoff: 4};
  layout.yaxis = {...axis, range: [lanes.length - 0.5, -0.5], domain: [1 - stripHeight / plotHeight, 1], tickvals: lanes.map((_, y) => y),
    ticktext: lanes.map(lane => DATA.lanes[lane]), tickfont: {size: 12, color: color("text")}};
  layout.yaxis2 = {...axis, range: [shown.length - 0.5, -0.5], domain: [0, fallHeight / plotHeight], tickvals: shown.map((_, y) => y), ticktext: names.map(plain),
    tickfont: {size: 11, color: color("muted")}, showgrid: true, gridcolor: color("line")};
  for (const x of [0, length]) layout.shapes.push({type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: {color: color("muted"), width: 1, dash: "dot"}});
  return {data: shown.length ? [strip, waiting, fall] : [strip], layout};
}

/* ---- moving in time ---- */
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
for (const button of document.querySelectorAll(".fold")) {
  button.addEventListener("click", () => {
    const members = button.closest("tbody").nextElementSibling;
    members.hidden = !members.hidden;
    button.setAttribute("aria-expanded", String(!members.hidden));
  });
}
for (const button of document.querySelectorAll("[data-csv]")) button.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([DATA.traces[+button.dataset.csv].csv], {type: "text/csv"}));
  link.download = "blocks.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
Object.assign(FIGURES, {lanes: lanesFigure, memory: memoryFigure, step: stepFigure});
start(() => {
  for (const {spans, memory, measured} of DATA.traces) {
    spans.start = secondsOf(spans.start);
    spans.end = spans.seconds.map((seconds, i) => spans.start[i] + seconds);
    for (const samples of [memory, measured]) if (samples) samples.time = secondsOf(samples.time);
  }
  END = 1.012 * Math.max(1e-6, ...DATA.traces.map(t => Math.max(t.total, t.kill ? t.kill.time : 0)));
  for (const div of plots()) {
    div.zoomed = div.dataset.figure === "step" ? range => { div.stepView = range; draw(div); } : range => show(range || [0, END]);
  }
  for (const button of document.querySelectorAll("[data-from]")) button.addEventListener("click", () => show(padded(button)));
  for (const button of document.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => {
      const [a, b] = view, span = b - a, middle = (a + b) / 2;
      const to = {left: [a - span / 2, b - span / 2], right: [a + span / 2, b + span / 2], in: [middle - span / 4, middle + span / 4], out: [middle - span, middle + span]};
      show(to[button.dataset.move]);
    });
  }
  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", () => drawAll(["step"]));
  show([0, END]);
  drawAll(["step"]);
});
