/* Lines and points with their intervals over numbers, or over names: the charts of a sweep and of an evaluation. */
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "star"];

function linesFigure(div) {
  const {groups, across, upward, from, to, places, limit, isApart} = DATA[div.dataset.figure], color = theme(), width = widthOf(div);
  const layout = baseLayout(color, width, width < NARROW ? 300 : 380, {l: leftOf(upward), r: 12, t: limit === null ? 10 : 24, b: 46});
  const points = groups.flatMap(group => group.points), at = points.map(point => places ? places.indexOf(point.x) : point.x);
  const levels = [...points.flatMap(point => [point.low, point.high]), ...(limit === null ? [] : [limit.y])];
  const rim = (low, high, share) => share * (high - low) || 0.5;
  const [low, high, left, right] = [Math.min(...levels), Math.max(...levels), Math.min(...at), Math.max(...at)];
  layout.xaxis = numberAxis(color, across, [from ?? left - rim(left, right, 0.05), to ?? right + rim(left, right, 0.05)], 8);
  if (places) {
    const each = Math.max(20, (width - 60) / places.length - 8);
    Object.assign(layout.xaxis, {range: [-0.5, places.length - 0.5], tickmode: "array", tickangle: 0, tickvals: places.map((_, i) => i), ticktext: places.map(place => plain(shorten(place, each, 12)))});
  }
  layout.yaxis = totalAxis(color, upward, [low - rim(low, high, 0.06), high + rim(low, high, 0.06)], 6);
  if (limit !== null) {
    layout.shapes.push(limitLine(color, {xref: "paper", x0: 0, x1: 1, y0: limit.y, y1: limit.y}));
    layout.annotations.push({xref: "paper", x: 0, xanchor: "left", y: limit.y, yanchor: "bottom", text: plain(limit.told), showarrow: false, font: {color: color("bad"), size: 12}});
  }
  /* Lines over the same places stand a little apart, so that no interval lies on another. */
  const pixel = (layout.xaxis.range[1] - layout.xaxis.range[0]) / (width - 60), apart = isApart && groups.length > 1 ? Math.min(7, 20 / (groups.length - 1)) * pixel : 0;
  const shift = number => apart * (number - (groups.length - 1) / 2);
  const data = groups.map(({name, points, color: own, dash, isLine}, number) => ({
    type: "scatter", name: plain(name), mode: isLine ? "lines+markers" : "markers", x: points.map(p => places ? places.indexOf(p.x) : p.x + shift(number)), y: points.map(p => p.y),
    hoverinfo: "text", hovertext: points.map(p => lines(p.told)), line: {width: 1.8, color: color(own), dash}, cliponaxis: false,
    marker: {size: 9, color: color(own), symbol: points.map(p => p.isKilled ? "x" : SYMBOLS[number % SYMBOLS.length])},
    error_y: {type: "data", symmetric: false, array: points.map(p => p.high - p.y), arrayminus: points.map(p => p.y - p.low), thickness: 1.2, width: 3, color: color(own) + "b0"},
  }));
  return {data, layout};
}

for (const name of ["plane", "total", "peak"]) FIGURES[name] = linesFigure;
start(() => drawAll());
