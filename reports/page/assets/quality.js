/* The page of an evaluation: quality against network evaluations. */
function planeFigure(div) {
  const {groups, across, upward, most} = DATA.plane, color = theme(), width = widthOf(div);
  const layout = baseLayout(color, width, width < NARROW ? 300 : 380, {l: 44, r: 12, t: 10, b: 46});
  layout.xaxis = numberAxis(color, across, [0, 1.02 * most], 8);
  const levels = groups.flatMap(group => group.points.flatMap(point => [point.low, point.high])), rim = 0.04 * (Math.max(...levels) - Math.min(...levels)) || 1;
  layout.yaxis = numberAxis(color, upward, [Math.min(...levels) - rim, Math.max(...levels) + rim], 6);
  const data = groups.map(({points, color: own, isLine}) => ({
    type: "scatter", mode: isLine ? "lines+markers" : "markers", x: points.map(p => p.x), y: points.map(p => p.y), hoverinfo: "text", hovertext: points.map(p => plain(p.told)),
    line: {width: 1.5, color: color(own)}, marker: {size: 8, color: color(own)}, cliponaxis: false,
    error_y: {type: "data", symmetric: false, array: points.map(p => p.high - p.y), arrayminus: points.map(p => p.y - p.low), thickness: 1, width: 3, color: color(own)},
  }));
  return {data, layout};
}

FIGURES.plane = planeFigure;
start(() => drawAll());
