/* The page of a search: latency against peak memory, and what the total depends on. */
const DOTS = {type: "scatter", mode: "markers", hoverinfo: "text", cliponaxis: false};

function paretoFigure(div) {
  const {front, near, plans, budget, limit, across, upward} = DATA.pareto, color = theme(), width = widthOf(div);
  const layout = baseLayout(color, width, width < NARROW ? 300 : 380, {l: leftOf(upward), r: 12, t: 10, b: 46});
  const dots = (points, marker) => ({...DOTS, x: points.map(p => p.x), y: points.map(p => p.y), hovertext: points.map(p => plain(p.told)), marker});
  const all = [...front, ...near, ...plans], spread = values => { const low = Math.min(...values), high = Math.max(...values); return [low, high, (high - low) * 0.06 || 0.1]; };
  const [left, right, besides] = spread([...all.map(p => p.x), ...(limit === null ? [] : [limit])]), [low, high, beneath] = spread(all.map(p => p.y));
  layout.xaxis = numberAxis(color, across, [left - besides, right + besides], 6);
  layout.yaxis = totalAxis(color, upward, [Math.max(0, low - beneath), high + beneath], 6);
  if (limit !== null) layout.shapes.push(limitLine(color, {x0: limit, x1: limit, yref: "paper", y0: 0, y1: 1}));
  if (budget !== null) layout.shapes.push(budgetLine(color, {x0: budget, x1: budget, yref: "paper", y0: 0, y1: 1}));
  /* The plan found is drawn last, on top. */
  const named = plans.map(plan => ({...dots([plan], {symbol: "square", size: 20, color: color(plan.color)}), mode: "markers+text", text: [plan.letter],
    textposition: "middle center", textfont: {family: FONT, size: 12, color: color("on-" + plan.color), weight: 700}})).reverse();
  const along = [...front].sort((a, b) => a.x - b.x), stairs = {type: "scatter", mode: "lines", hoverinfo: "skip", x: along.map(p => p.x), y: along.map(p => p.y),
    line: {shape: "hv", width: 1, color: color("faint")}};
  return {data: [stairs, dots(front, {size: 7, color: color("muted")}), dots(near, {symbol: "circle-open", size: 9, color: color("t3"), line: {width: 2}}), ...named], layout};
}

/* One bar a figure of the costs; its name stands at its left, or above it where the page is narrow. */
function tornadoFigure(div) {
  const {rows, across} = DATA.tornado, color = theme(), width = widthOf(div), isNarrow = width < NARROW;
  const words = row => `${plain(row.name)}<br><span style="font-size:11px;color:${color("muted")}">${plain(row.note)}</span>`;
  const left = isNarrow ? 12 : 20 + Math.max(...rows.flatMap(row => [textWidth(row.name, 13), textWidth(row.note, 11)])), pitch = isNarrow ? 60 : 38;
  const layout = baseLayout(color, width, rows.length * pitch + 52, {l: left, r: 12, t: 6, b: 46});
  const reach = 1.04 * Math.max(...rows.flatMap(row => [-row.low, row.high]));
  layout.xaxis = {...numberAxis(color, across, [-reach, reach], isNarrow ? 5 : 9), zeroline: true, zerolinecolor: color("muted")};
  layout.yaxis = {range: [rows.length - 0.5, -0.5], fixedrange: true, showgrid: false, zeroline: false, showticklabels: false};
  const place = isNarrow ? {xanchor: "left", align: "left", yanchor: "bottom", yshift: -3, bgcolor: color("panel")} : {xanchor: "right", align: "right", yanchor: "middle", xshift: -8};
  layout.annotations = rows.map((row, y) => ({xref: "paper", x: 0, y, text: words(row), showarrow: false, font: {size: 13, color: color("text")}, ...place}));
  const bars = {type: "bar", orientation: "h", base: rows.map(row => row.low), x: rows.map(row => row.high - row.low), y: rows.map((_, y) => y + (isNarrow ? 0.22 : 0)),
    width: isNarrow ? 0.24 : 0.5, hoverinfo: "text", hovertext: rows.map(row => plain(`${row.name}: ${row.told}`)), textposition: "none", marker: {color: rows.map(row => color("m-" + row.mark))}};
  return {data: [bars], layout};
}

Object.assign(FIGURES, {pareto: paretoFigure, tornado: tornadoFigure});
start(() => drawAll(["pareto", "tornado"]));
