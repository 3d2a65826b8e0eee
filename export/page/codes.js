// Arithmetic with w (Float32Array of the model's latent size) and styles (a w for each style, two
// styles for each level), as in alae_tf.latents.

/** Repeats w for every style. */
export function toStyles(w, count) {
  const styles = new Float32Array(count * w.length);
  for (let k = 0; k < count; k++) styles.set(w, k * w.length);
  return styles;
}

/** a + t (b − a). */
export function lerp(a, b, t) {
  return a.map((value, i) => value + t * (b[i] - value));
}

/** Replaces the styles whose numbers are in `rows` by those of `other`. */
export function mix(styles, other, rows, latent) {
  const mixed = styles.slice();
  for (const k of rows) mixed.set(other.subarray(k * latent, (k + 1) * latent), k * latent);
  return mixed;
}

/** Moves every style along a direction. */
export function move(styles, direction, amount) {
  return styles.map((value, i) => value + amount * direction[i % direction.length]);
}

/** Truncates the styles below `cutoff`: psi 1 keeps them, 0 gives the mean. */
export function truncate(styles, mean, psi, cutoff, latent) {
  return styles.map((value, i) => (i < cutoff * latent ? mean[i] + psi * (value - mean[i]) : value));
}

/** `count` numbers from N(0, 1) for a seed, by mulberry32 and Box–Muller. */
export function normal(count, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}
