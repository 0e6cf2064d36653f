/**
 * Bytes of records that outlive the memory they were read from, without a buffer for each.
 *
 * A Uint8Array with a buffer of its own takes V8 200 to 400 ns, one over a buffer that is there 20. So a batch that fills its memory gives
 * that memory away, and the next one is read into other memory. What is read of smaller batches is copied in pieces, of which each record
 * is given its part, as Node's pool of Buffers does it.
 */
import { markAsUntransferable } from "node:worker_threads";

/** A record that is kept may keep so much alive. With half of it, records of 256 bytes cost a fifth more. */
const PIECE = 16 * 1024;
/** The same where records fill the memory: then it may keep the batch alive as well, and larger pieces are a tenth cheaper. */
const LARGE_PIECE = 64 * 1024;
/** Two that are further apart are not read one after the other. */
const GAP = 256;

const NONE = new ArrayBuffer(0);

export class Copies {
  readonly #source: ArrayBuffer;
  /** Bytes of the source that hold records. */
  #filled = 0;
  #givable = false;
  #given = false;
  #piece = NONE;
  // Where in the source the piece was.
  #start = 0;
  #end = 0;

  constructor(source: ArrayBuffer) {
    this.#source = source;
  }

  /** The source holds so many bytes of new records. At least half full, it may be given away. */
  begin(filled: number): void {
    this.#filled = filled;
    this.#givable = this.#full;
    this.#piece = NONE;
    this.#start = this.#end = 0;
  }

  /** Records fill at least half of it. */
  get #full(): boolean {
    return 2 * this.#filled >= this.#source.byteLength;
  }

  /** These records are shown in place: their memory stays, as all that knows of it would have to be made anew. */
  stay(): void {
    this.#givable = false;
  }

  /** The source belongs to records that were handed out: nothing may be read into it. */
  get given(): boolean {
    return this.#given;
  }

  /** The caller has checked that the bytes are within the source. */
  take(offset: number, size: number): Uint8Array {
    if (this.#givable) {
      if (!this.#given) this.#give();
      return new Uint8Array(this.#source, offset, size);
    }
    if (offset < this.#start || offset + size > this.#end) this.#copy(offset, size);
    return new Uint8Array(this.#piece, offset - this.#start, size);
  }

  #give(): void {
    this.#given = true;
    // Transferring one record's bytes to a worker would take those of its neighbours away.
    markAsUntransferable(this.#source);
  }

  /** A piece that begins with these bytes: alone at first, twice as many as before where reading goes on from there. */
  #copy(offset: number, size: number): void {
    const before = this.#end - this.#start;
    const follows = before > 0 && offset >= this.#start && offset <= this.#end + GAP;
    const ahead = follows ? Math.min(2 * before, this.#full ? LARGE_PIECE : PIECE, this.#filled - offset) : 0;
    this.#start = offset;
    this.#end = offset + Math.max(size, ahead);
    this.#piece = this.#source.slice(offset, this.#end);
    if (ahead > size) markAsUntransferable(this.#piece);
  }
}
