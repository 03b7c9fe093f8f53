/* The frames of a section's strips, one after the other, all strips at once; without the button nothing moves. */
const FRAMES_PER_S = 4;
const RIM = 2; // pixels between the frames of a strip, which are square

function showFrame(canvas, number) {
  const strip = canvas.parentElement.querySelector("img"), side = strip.naturalHeight;
  if (!side) return;
  const count = Math.round((strip.naturalWidth + RIM) / (side + RIM));
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(strip, (number % count) * (side + RIM), 0, side, side, 0, 0, side, side);
}
for (const button of document.querySelectorAll(".play")) {
  const canvases = [...button.closest("section").querySelectorAll("canvas")];
  let number = 0, timer = null;
  const show = () => canvases.forEach(canvas => showFrame(canvas, number));
  for (const canvas of canvases) canvas.parentElement.querySelector("img").decode().then(show, () => {});
  button.addEventListener("click", () => {
    if (timer === null) timer = setInterval(() => { number++; show(); }, 1000 / FRAMES_PER_S);
    else { clearInterval(timer); timer = null; }
    button.setAttribute("aria-pressed", String(timer !== null));
    button.textContent = timer === null ? "Play" : "Stop";
  });
}
