/** xorshift32: the same words for the same seed, everywhere. */
export function xorshift(seed) {
  let state = Number(seed);
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
