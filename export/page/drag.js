// Follows a pointer: mouse, pen or finger.

/**
 * Calls `moved` while a pointer that went down on an element moves; then `ended`.
 * @param {HTMLElement} element
 * @param {function(number, number, PointerEvent): void} moved gets the position, in pixels of the window
 * @param {function(): void} ended
 * @param {function(PointerEvent): boolean} begins whether to follow a pointer that goes down
 */
export function dragged(element, moved, ended = () => {}, begins = () => true) {
  let pointer = null;
  element.addEventListener('pointerdown', (event) => {
    if (pointer !== null || event.button || !begins(event)) return;
    pointer = event.pointerId;
    moved(event.clientX, event.clientY);
    if (event.isTrusted) element.setPointerCapture(pointer);
  });
  element.addEventListener('pointermove', (event) => {
    if (event.pointerId === pointer) moved(event.clientX, event.clientY);
  });
  for (const name of ['pointerup', 'pointercancel']) {
    element.addEventListener(name, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      ended();
    });
  }
}
