"use strict";

// One WebSocket, opened again when it ends: behind a load balancer the next one may be another instance's.
const state = document.getElementById("state");
const log = document.getElementById("log");
const form = document.getElementById("echo");
const message = document.getElementById("message");
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
let socket;
let sent = 0;
let pause = 500;

function connect() {
  state.textContent = "connecting";
  socket = new WebSocket(`${scheme}//${location.host}/ws`);
  socket.addEventListener("open", () => {
    state.textContent = "connected";
    pause = 500;
  });
  socket.addEventListener("message", (event) => {
    const line = document.createElement("li");
    line.textContent = `${event.data} (${(performance.now() - sent).toFixed(1)} ms)`;
    log.prepend(line);
    while (log.childElementCount > 20) log.lastElementChild.remove();
  });
  socket.addEventListener("close", () => {
    state.textContent = "lost, trying again";
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 8000);
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  sent = performance.now();
  socket.send(message.value);
});

connect();
