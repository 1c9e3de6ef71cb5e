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
  return () => {
    // When the clock steps back, or a millisecond has more ids than the counter can tell apart, use the next
    // millisecond.
    const time = Math.max(clock.now(), lastTime);
    if (time > lastTime) counter = Math.floor(random.fraction() * 0x400);
    else counter++;
    lastTime = counter > 0xfff ? time + 1 : time;
    counter &= 0xfff;
    const stamp = lastTime.toString(16).padStart(12, "0");
    const tail = random.bytes(8);
    tail[0] = ((tail[0] ?? 0) & 0x3f) | 0x80;
    let hex = "";
    for (const byte of tail) hex += hexOf[byte];
    const low = counter.toString(16).padStart(3, "0");
    return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${low}-${hex.slice(0, 4)}-${hex.slice(4)}`;
  };
}
