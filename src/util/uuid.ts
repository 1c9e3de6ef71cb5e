import type { Clock, Random } from "../ports/clock.ts";

/** The two hex digits of each byte, made once: every call makes ids. */
const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * Returns a generator of UUIDv7 (RFC 9562, section 5.7). Ids are globally unique; those of one generator ascend, even
 * within a millisecond and when the clock steps back.
 */
export function createIds(clock: Clock, random: Random): () => string {
  let lastTime = 0;
  let counter = 0;
  let stampedTime = -1;
  let stamp = "";
  return () => {
    // When the clock steps back, or a millisecond has more ids than the counter can tell apart, use the next
    // millisecond.
    const time = Math.max(clock.now(), lastTime);
    if (time > lastTime) counter = Math.floor(random.fraction() * 0x400);
    else counter++;
    lastTime = counter > 0xfff ? time + 1 : time;
    counter &= 0xfff;
    if (lastTime !== stampedTime) {
      const digits = lastTime.toString(16).padStart(12, "0");
      stamp = `${digits.slice(0, 8)}-${digits.slice(8)}-7`;
      stampedTime = lastTime;
    }
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = random.bytes(8);
    const low = `${hexOf[counter >> 8]?.[1]}${hexOf[counter & 0xff]}`;
    const high = `${hexOf[(a & 0x3f) | 0x80]}${hexOf[b]}`;
    return `${stamp}${low}-${high}-${hexOf[c]}${hexOf[d]}${hexOf[e]}${hexOf[f]}${hexOf[g]}${hexOf[h]}`;
  };
}
