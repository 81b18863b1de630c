const timeline = document.querySelector(".timeline");
const players = [...document.querySelectorAll("audio")];
const frames = [...document.querySelectorAll(".film img")];
const view = document.getElementById("view");
const duration = Number(timeline.dataset.duration);
const scroller = document.querySelector(".scroller");
const axis = document.querySelector(".axis");
const zoom = document.getElementById("zoom");
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000];
let player = players[0];

function show() {
  const at = Math.min(player.currentTime / duration, 1);
  timeline.style.setProperty("--at", at);
  const frame = frames[Math.min(Math.floor(at * frames.length), frames.length - 1)];
  if (frame && view.src !== frame.src) view.src = frame.src;
}

function scrollToPlayhead() {
  const x = axis.offsetLeft + axis.clientWidth * Number(timeline.style.getPropertyValue("--at"));
  const hidden = x < scroller.scrollLeft + axis.offsetLeft || x > scroller.scrollLeft + scroller.clientWidth;
  if (hidden) scroller.scrollLeft = x - axis.offsetLeft - 20;
}

function writeTimes() {
  const room = duration * (matchMedia("(max-width: 44rem)").matches ? 2 : 1) / (zoom ? zoom.value : 1);
  const step = STEPS.find((each) => room / each <= 10) || 36000;
  axis.replaceChildren();
  for (let time = 0; time < duration - step / 3; time += step) {
    const mark = axis.appendChild(document.createElement("span"));
    const [hours, minutes] = [Math.floor(time / 3600), Math.floor((time % 3600) / 60)];
    const seconds = (time % 60).toFixed(step < 1 ? 1 : 0).padStart(step < 1 ? 4 : 2, "0");
    mark.textContent = hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
    mark.style.left = `${(100 * time) / duration}%`;
  }
}

function follow() {
  show();
  scrollToPlayhead();
  if (!player.paused) requestAnimationFrame(follow);
}

function seek(event) {
  const lane = event.target.closest(".lane");
  if (!lane) return;
  const other = players[lane.dataset.variant];
  if (other && other !== player) {
    if (!player.paused) other.play();
    player = other;
  }
  const edges = lane.getBoundingClientRect();
  player.currentTime = duration * Math.min(Math.max((event.clientX - edges.left) / edges.width, 0), 1);
  show();
}

for (const each of players) {
  each.addEventListener("play", () => {
    player = each;
    for (const other of players) if (other !== each) other.pause();
    follow();
  });
  each.addEventListener("seeking", () => {
    player = each;
    show();
  });
}
timeline.addEventListener("pointerdown", seek);
timeline.addEventListener("pointermove", (event) => event.buttons && seek(event));
if (zoom) {
  zoom.addEventListener("input", () => {
    timeline.style.setProperty("--zoom", zoom.value);
    writeTimes();
    scrollToPlayhead();
  });
}
addEventListener("resize", writeTimes);
writeTimes();
