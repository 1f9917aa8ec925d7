"use strict";
// Moves everyone along their way as the slider moves; the page is complete without it.
(() => {
  const data = JSON.parse(document.getElementById("motion").textContent);
  const slider = document.getElementById("time");
  const label = document.getElementById("now");
  const play = document.getElementById("play");
  const head = document.getElementById("playhead");
  if (!slider) return;
  const show = () => {
    const step = Number(slider.value);
    const frame = data.frame[step];
    label.textContent = `frame ${frame}, ${((frame - data.first) / data.fps).toFixed(2)} s`;
    if (head) {
      const x = data.timeline[0] + (frame - data.first + 0.5) * data.timeline[1];
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
    }
    for (const dot of document.querySelectorAll(".dot")) {
      const way = data.people[dot.dataset.person];
      const at = way ? way[step] : null;
      const here = at && at[0] === Number(dot.dataset.island);
      dot.style.display = here ? "" : "none";
      if (here) {
        dot.setAttribute("cx", at[1]);
        dot.setAttribute("cy", at[2]);
        dot.style.opacity = at[3] ? 1 : 0.45;
      }
    }
    for (const wedge of document.querySelectorAll(".wedge.now")) {
      const at = data.camera[step];
      const here = at[0] === Number(wedge.dataset.island);
      wedge.style.display = here ? "" : "none";
      if (here) wedge.setAttribute("points", at[1]);
    }
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "Pause";
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    const wait = 1000 * (data.frame[1] - data.frame[0] || 1) / data.fps;
    timer = setInterval(() => {
      if (Number(slider.value) >= Number(slider.max)) { stop(); return; }
      slider.value = Number(slider.value) + 1;
      show();
    }, Math.max(wait, 16));
  });
  slider.addEventListener("input", show);
  show();
})();
