// Shows a page in a frame of its own origin, which the frame's sandbox gives it: its scripts reach nothing of this page.
export default function ({ data, parentElement }) {
  const frame = parentElement.querySelector("iframe");
  if (frame.dataset.report === data.report) return;
  frame.dataset.report = data.report;
  frame.srcdoc = data.page;
}
