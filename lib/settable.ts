/** A part of an opened object, of which libbpf makes another when the object is opened once more: to load another variant. @internal */
export interface Settable<N> {
  /** The one that there is now. @throws BpfError CLOSED, INVALID_STATE unless the object is opened and not yet loaded */
  native(): N;
  /** Sets what cannot be read back, and sets it again on the one that comes next. `setting` names it: the last of a name counts. */
  keep(setting: string, set: (native: N) => void): void;
}
