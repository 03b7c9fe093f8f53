/* What the figures of every page share: unpacking, looks, and drawing anew for the width, the colour scheme and print.

A page's own script puts functions into FIGURES, each from a <div class="plot"> (and whether it is to stand by itself) to
what Plotly draws in it, and calls `start`. Figures place what Python wrote: every quantity in words comes with the data. */
const FIGURES = {};
let DATA = null, printing = false;

/* ---- unpacking ---- */
/* Four bytes of every five characters: base 85 as Python's base64.b85encode writes it, with "." for "<". */
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;.=>?@^_`{|}~";
function bytesOf(text) {
  const values = new Uint8Array(128), groups = Math.ceil(text.length / 5), bytes = new DataView(new ArrayBuffer(4 * groups));
  [...DIGITS].forEach((digit, value) => { values[digit.charCodeAt(0)] = value; });
  for (let group = 0; group < groups; group++) {
    let word = 0;
    for (let i = 5 * group; i < 5 * group + 5; i++) word = 85 * word + (i < text.length ? values[text.charCodeAt(i)] : 84);
    bytes.setUint32(4 * group, word);
  }
  return bytes.buffer.slice(0, 4 * groups - (5 * groups - text.length));
}
async function unpacked(id) {
  const bytes = bytesOf(document.getElementById(id).textContent);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}
/* Resolves once the text has been painted, or soon where nothing is painted: in a tab that nobody looks at. */
const painted = () => new Promise(done => { requestAnimationFrame(() => setTimeout(done)); setTimeout(done, 200); });
let begun = null;
/* Each script of a page says what to do once the figures can be drawn; they are unpacked once. */
function start(ready) { begun = (begun || begin()).then(isDone => { if (isDone) ready(); return isDone; }); }
async function begin() {
  if (!plots().length) return false;
  await painted();
  try {
    const [data, plotly] = await Promise.all([unpacked("data"), unpacked("plotly")]);
    DATA = JSON.parse(data);
    const script = document.createElement("script");
    script.textContent = plotly;
    document.head.append(script);
    if (!window.Plotly) throw new Error("plotly.js did not run");
  } catch (error) {
    for (const div of plots()) div.textContent = `This browser cannot unpack the figures (${error.message}). `
      + "Chrome and Edge from 103, Firefox from 113 and Safari from 16.4 can. Every number stands in the text and the tables.";
    document.documentElement.classList.add("without-figures");
    return false;
  }
  const root = document.documentElement;
  let lastWidth = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth !== lastWidth) { lastWidth = root.clientWidth; redrawSoon(); }
  }).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawSoon);
  addEventListener("beforeprint", () => { printing = true; root.classList.add("printing"); drawAll(); });
  addEventListener("afterprint", () => { printing = false; root.classList.remove("printing"); redrawSoon(); });
  return true;
}

/* ---- keeping them drawn ---- */
const CONFIG = {displayModeBar: false, doubleClick: false, responsive: false, scrollZoom: false};
const plots = () => [...document.querySelectorAll(".plot")];
let pending = 0;
function redrawSoon() { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => drawAll()); }
function drawAll(kinds) { for (const div of plots()) if (!kinds || kinds.includes(div.dataset.figure)) draw(div); }
/* Draws one figure, unless it is out of sight. `div.zoomed`, if there is one, is told the range that a reader drags. */
function draw(div) {
  if (!div.clientWidth && !printing) return;
  const {data, layout} = FIGURES[div.dataset.figure](div), size = `${layout.width}x${layout.height}`;
  const isFirst = !div.size, isNew = div.size !== size;
  div.size = size;
  div.drawing = true;
  /* Of another size it begins anew: Plotly.react leaves the numbers of an axis where they were. */
  (isNew ? Plotly.newPlot : Plotly.react)(div, data, layout, CONFIG).then(() => { div.drawing = false; div.classList.add("drawn"); performance.mark("drawn"); });
  if (isFirst) div.after(savingButtons(div));
  if (!isNew || !div.zoomed) return;
  div.on("plotly_doubleclick", () => div.zoomed(null));
  div.on("plotly_relayout", change => {
    if (!div.drawing) div.zoomed(change["xaxis.range"] || ("xaxis.range[0]" in change ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : null));
  });
}

/* ---- saving ---- */
function savingButtons(div) {
  const name = div.getAttribute("aria-label"), row = document.createElement("p");
  row.className = "saving";
  for (const format of ["svg", "png"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = format.toUpperCase();
    button.setAttribute("aria-label", `Save as ${format.toUpperCase()}: ${name}`);
    button.addEventListener("click", () => Plotly.downloadImage(picture(div), {format, scale: format === "png" ? 2 : 1,
      filename: name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 80)}));
    row.append(button);
  }
  return row;
}
/* A figure as it is now, on white, with its name above and what its colours mean beneath: to stand by itself. */
function picture(div) {
  const root = document.documentElement;
  root.classList.add("printing");
  const {data, layout} = FIGURES[div.dataset.figure](div, true), color = theme(), above = 34;
  root.classList.toggle("printing", printing);
  const isNamed = data.some(trace => trace.name), beneath = isNamed ? 40 : 0;
  return {
    data: data.map(trace => ({...trace, showlegend: Boolean(trace.name)})),
    layout: {
      ...layout, paper_bgcolor: color("panel"), height: layout.height + above + beneath, showlegend: isNamed,
      margin: {...layout.margin, t: layout.margin.t + above, b: layout.margin.b + beneath},
      title: {text: plain(div.getAttribute("aria-label")), font: {size: 13, color: color("text")}, x: 0, xref: "paper", y: 1, yref: "container", yanchor: "top", pad: {t: 10}},
      legend: {orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: {size: 12, color: color("text")}},
    },
    config: CONFIG,
  };
}

/* ---- looks ---- */
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif';
const NARROW = 560;
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const lines = text => plain(text).replace(/\n/g, "<br>");
function theme() {
  const style = getComputedStyle(document.documentElement);
  return name => style.getPropertyValue("--" + name).trim();
}
const levels = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
function mix(color, ground, share) {
  const a = levels(color), b = levels(ground);
  return "#" + a.map((v, i) => Math.round(v * share + b[i] * (1 - share)).toString(16).padStart(2, "0")).join("");
}
/* Black or white: whichever stands out more from a colour (relative luminance of WCAG 2). */
function inkOn(color) {
  const [r, g, b] = levels(color).map(v => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#0f1113" : "#ffffff";
}
const hatch = (color, shape) => ({shape: shape || "", fgcolor: color("panel"), fgopacity: 0.4, size: 7, solidity: shape === "." ? 0.25 : 0.2, fillmode: "overlay"});
const canvas = document.createElement("canvas").getContext("2d");
function textWidth(text, size) { canvas.font = `${size}px ${FONT}`; return canvas.measureText(text).width; }
function shorten(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  let kept = text;
  while (kept.length > 1 && textWidth(kept + "…", size) > width) kept = kept.slice(0, -1);
  return kept.replace(/\.\..*$/, "") + "…";
}
function widthOf(div) { return printing ? Math.min(680, div.clientWidth || 680) : div.clientWidth; }
function baseLayout(color, width, height, margin) {
  return {
    width, height, margin: {pad: 0, ...margin}, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: {family: FONT, size: 12, color: color("muted")}, barmode: "overlay", bargap: 0, dragmode: false, hovermode: "closest",
    hoverlabel: {bgcolor: color("panel"), bordercolor: color("muted"), font: {family: FONT, size: 12, color: color("text")}, align: "left"},
    hoverdistance: 8, selectdirection: "h", transition: {duration: 0}, shapes: [], annotations: [],
  };
}
/* An axis of plain numbers, with what they are and their unit in its title. */
function numberAxis(color, name, range, most) {
  return {
    range, nticks: most, fixedrange: true, showgrid: true, gridcolor: color("line"), zeroline: false, showline: false, ticks: "",
    tickfont: {size: 12, color: color("muted")}, ticklabelstandoff: 5, exponentformat: "none", layer: "below traces",
    title: {text: plain(name), font: {size: 12, color: color("muted")}},
  };
}
/* ---- times ---- */
function clock(seconds, digits) {
  const whole = Math.round(seconds * 10 ** digits) / 10 ** digits, hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
const ROUND_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000];
/* The smallest round distance between ticks that leaves room for each. */
function tickStep(span, most, isClock) {
  const least = span / most, decade = 10 ** Math.floor(Math.log10(least));
  return (isClock && least > 0.5 && ROUND_S.find(step => step >= least)) || [1, 2, 5, 10].map(each => each * decade).find(step => step >= least * 0.999);
}
/* Room for an axis's numbers and, beside them, its name. */
const leftOf = name => name.endsWith("min:s") ? 64 : 50;
/* An axis of totals in seconds, with numbers as its name says: min:s or s. */
function totalAxis(color, name, range, most) {
  const axis = numberAxis(color, name, range, most);
  if (!name.endsWith("min:s")) return axis;
  const step = tickStep(range[1] - range[0], most, true), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), tickvals = [];
  for (let i = Math.ceil(range[0] / step - 1e-6); i * step <= range[1]; i++) tickvals.push(i * step);
  return {...axis, tickmode: "array", tickvals, ticktext: tickvals.map(seconds => clock(seconds, digits))};
}
/* What the system allows is dashed and red, what a plan allows itself dotted. */
const limitLine = (color, place) => ({type: "line", ...place, line: {color: color("bad"), width: 1.5, dash: "dash"}});
const budgetLine = (color, place) => ({type: "line", ...place, line: {color: color("text"), width: 1.2, dash: "dot"}});
