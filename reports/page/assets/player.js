/* The videos of a prompt are tiles of one video, which keeps them in step: it is drawn tile by tile, each under its name.
   Nothing moves until it is told to. Paper gets some frames of each. Without this script the one video plays as it is. */
const PRINTED = 8, RIM = 2; // frames of each on paper, and the pixels between them

const once = (target, event) => new Promise(done => target.addEventListener(event, done, {once: true}));
/* Calls back for every frame that is shown, with its time. */
function onFrames(video, show) {
  const next = video.requestVideoFrameCallback
    ? () => video.requestVideoFrameCallback((_, {mediaTime}) => { show(mediaTime); next(); })
    : () => requestAnimationFrame(() => { show(video.currentTime); next(); });
  next();
}
async function play(player) {
  const [columns, width, height, frames, fps] = ["columns", "width", "height", "frames", "fps"].map(name => Number(player.dataset[name]));
  const video = player.querySelector("video"), controls = player.querySelector(".controls");
  const [button, slider, told] = controls.children;
  const count = Math.min(PRINTED, frames), names = [...player.querySelectorAll("li")];
  const canvas = (name, className, width, what) =>
    Object.assign(document.createElement("canvas"), {className, width, height, role: "img", ariaLabel: `${name.textContent}: ${what}`});
  const tiles = names.map(name => canvas(name, "tile", width, "the frame that is shown"));
  const strips = names.map(name => canvas(name, "frames", count * (width + RIM) - RIM, "frames at equal distances"));
  const draw = (canvas, index, x) => canvas.getContext("2d").drawImage(
    video, index % columns * width, Math.floor(index / columns) * height, width, height, x, 0, width, height);
  const show = time => {
    const frame = Math.min(frames - 1, Math.floor(time * fps + 0.25)); // times of frames are rounded
    tiles.forEach((canvas, index) => draw(canvas, index, 0));
    told.textContent = `frame ${frame + 1} of ${frames}, ${(frame / fps).toFixed(2)} s`;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  const seek = frame => { video.currentTime = (frame + 0.5) / fps; return once(video, "seeked"); };
  if (video.readyState < video.HAVE_CURRENT_DATA) await once(video, "loadeddata");
  for (let k = 0; k < count; k++) {
    await seek(Math.round(k * (frames - 1) / Math.max(1, count - 1)));
    strips.forEach((canvas, index) => draw(canvas, index, k * (width + RIM)));
  }
  await seek(0);
  show(video.currentTime);
  onFrames(video, show);
  button.addEventListener("click", () => { if (video.paused) video.play().catch(() => {}); else video.pause(); });
  video.addEventListener("play", () => { button.textContent = "Pause"; });
  video.addEventListener("pause", () => { button.textContent = "Play all"; });
  slider.addEventListener("input", () => { video.pause(); seek(Number(slider.value)); });
  names.forEach((name, index) => name.prepend(tiles[index], strips[index]));
  controls.hidden = false;
  player.classList.add("ready");
}
document.querySelectorAll(".player").forEach(play);
