// Takes a picture with the camera of a computer; phones have their own app for it, which a file input opens.

import { byId } from "./elements.js";

/**
 * Have a button take pictures, where the browser lets pages use the camera.
 * @param {(files: File[]) => void} take
 * @param {(reason: string) => void} refuse
 */
export function enableCamera(take, refuse) {
  const [button, dialog] = [byId("camera", HTMLButtonElement), byId("camera-dialog", HTMLDialogElement)];
  const video = byId("camera-video", HTMLVideoElement);
  const shoot = byId("shoot", HTMLButtonElement);
  let opening = false;
  button.hidden = !navigator.mediaDevices; // browsers define it only for https and localhost
  button.addEventListener("click", async () => {
    if (opening) return; // a second click would leave the first stream on
    opening = true;
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      refuse(refusalOf(error));
      return;
    } finally {
      opening = false;
    }
    shoot.disabled = true;
    dialog.showModal();
    await video.play().catch(() => {}); // fails where the dialog is closed before
    shoot.disabled = false;
  });
  shoot.addEventListener("click", async () => {
    shoot.disabled = true;
    const file = await photograph(video);
    dialog.close();
    take([file]);
  });
  dialog.addEventListener("close", () => {
    for (const track of /** @type {MediaStream} */ (video.srcObject).getTracks()) track.stop(); // its light goes off
    video.srcObject = null;
  });
}

/** @param {unknown} error */
function refusalOf(error) {
  return error instanceof DOMException && error.name === "NotAllowedError"
    ? "The browser does not let this page use the camera. Allow it in the address bar, or choose a file."
    : "No camera was found. Connect one, or choose a file.";
}

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<File>}
 */
function photograph(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const name = `camera-${new Date().toTimeString().slice(0, 8).replaceAll(":", "")}.jpg`;
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(new File([blob], name, { type: "image/jpeg" })) : reject(new Error("No picture."))), "image/jpeg", 0.92);
  });
}
