/* What the figures of every page share: unpacking, looks, and drawing anew for the width, the colour scheme and print.

A page's own script puts functions into FIGURES, each from a <div class="plot"> to what Plotly draws in it, and calls
`start`. Figures place what Python wrote: every quantity in words comes with the data. */
const FIGURES = {};
let DATA = null, printing = false;

/* ---- unpacking ---- */
async function unpacked(id) {
  const characters = atob(document.getElementById(id).textContent), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}
/* Resolves once the text has been painted, or soon where nothing is painted: in a tab that nobody looks at. */
const painted = () => new Promise(done => { requestAnimationFrame(() => setTimeout(done)); setTimeout(done, 200); });
let begun = null;
/* Each script of a page says what to do once the figures can be drawn; they are unpacked once. */
function start(ready) { begun = (begun || begin()).then(isDone => { if (isDone) ready(); return isDone; }); }
async function begin() {
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
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; redrawSoon(); });
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
  const {data, layout} = FIGURES[div.dataset.figure](div);
  const isFirst = !div.on;
  div.drawing = true;
  Plotly.react(div, data, layout, CONFIG).then(() => { div.drawing = false; div.classList.add("drawn"); });
  if (!isFirst || !div.zoomed) return;
  div.on("plotly_doubleclick", () => div.zoomed(null));
  div.on("plotly_relayout", change => {
    if (!div.drawing) div.zoomed(change["xaxis.range"] || ("xaxis.range[0]" in change ? [change["xaxis.range[0]"], change["xaxis.range[1]"]] : null));
  });
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
const dashed = (color, place) => ({type: "line", ...place, line: {color: color("bad"), width: 1.5, dash: "dash"}});
