// The position of a component in time: the composition, and the sequences, loops and freezes in it.
import {
  Children,
  createContext,
  Fragment,
  isValidElement,
  useContext,
  useMemo,
  type CSSProperties,
  type HTMLAttributes,
  type ReactElement,
  type ReactNode,
  type Ref,
} from "react";

export interface VideoConfig {
  id: string;
  width: number;
  height: number;
  fps: number;
  durationInFrames: number;
  defaultProps: Record<string, unknown>;
  props: Record<string, unknown>;
}

/** The composition as a whole; provided by the stage. */
export const CompositionContext = createContext<VideoConfig | null>(null);
/** The current frame of the nearest enclosing sequence. */
export const FrameContext = createContext(0);
/** The duration of the nearest enclosing sequence in frames; null outside of any. */
const SpanContext = createContext<number | null>(null);
const LoopContext = createContext<{ iteration: number; durationInFrames: number } | null>(null);

export function useCurrentFrame(): number {
  return useContext(FrameContext);
}

/** Return size, frame rate and duration; inside a sequence the duration is that of the sequence. */
export function useVideoConfig(): VideoConfig {
  const composition = useContext(CompositionContext);
  const span = useContext(SpanContext);
  if (composition === null) throw new Error("useVideoConfig works inside a scene only");
  return useMemo(
    () => (span === null ? composition : { ...composition, durationInFrames: span }),
    [composition, span],
  );
}

const FILL: CSSProperties = {
  position: "absolute",
  top: 0,
  left: 0,
  right: 0,
  bottom: 0,
  width: "100%",
  height: "100%",
  display: "flex",
  flexDirection: "column",
};

export interface AbsoluteFillProps extends HTMLAttributes<HTMLDivElement> {
  ref?: Ref<HTMLDivElement>;
}

export function AbsoluteFill({ style, ...rest }: AbsoluteFillProps): ReactElement {
  return <div {...rest} style={{ ...FILL, ...style }} />;
}

export interface LayoutProps {
  layout?: "absolute-fill" | "none";
  style?: CSSProperties;
  className?: string;
  name?: string;
  children?: ReactNode;
}

export interface SequenceProps extends LayoutProps {
  from?: number;
  durationInFrames?: number;
  width?: number;
  height?: number;
}

/** Shows its children from frame `from` on for `durationInFrames`; their own frames start at 0. */
export function Sequence(props: SequenceProps): ReactElement | null {
  const { from = 0, durationInFrames = Infinity, layout = "absolute-fill", style, className, children } = props;
  const frame = useCurrentFrame();
  const parent = useVideoConfig();
  if (!(durationInFrames > 0)) throw new RangeError(`Sequence needs durationInFrames above 0, got ${durationInFrames}`);
  const span = Math.max(1, Math.min(durationInFrames, parent.durationInFrames - from));
  const scaled = useMemo(
    () => ({ ...parent, width: props.width ?? parent.width, height: props.height ?? parent.height }),
    [parent, props.width, props.height],
  );
  if (frame < from || frame >= from + durationInFrames) return null;
  const inside = (
    <CompositionContext.Provider value={scaled}>
      <SpanContext.Provider value={span}>
        <FrameContext.Provider value={frame - from}>{children}</FrameContext.Provider>
      </SpanContext.Provider>
    </CompositionContext.Provider>
  );
  if (layout === "none") return inside;
  const size = { width: props.width ?? "100%", height: props.height ?? "100%" };
  return (
    <AbsoluteFill className={className} style={{ ...size, ...style }}>
      {inside}
    </AbsoluteFill>
  );
}

export interface SeriesSequenceProps extends LayoutProps {
  durationInFrames: number;
  offset?: number;
}

function SeriesSequence(_props: SeriesSequenceProps): ReactElement | null {
  throw new Error("Series.Sequence works directly inside Series only");
}

function flatten(children: ReactNode): ReactElement<SeriesSequenceProps>[] {
  return Children.toArray(children).flatMap((child) => {
    if (!isValidElement<SeriesSequenceProps>(child)) return [];
    if (child.type === Fragment) return flatten(child.props.children);
    if (child.type !== SeriesSequence) throw new TypeError("Series takes Series.Sequence children only");
    return [child];
  });
}

/** Plays its sequences one after the other; `offset` moves a sequence and all that follow it. */
function SeriesRow({ children }: { children?: ReactNode }): ReactElement {
  let start = 0;
  const sequences = flatten(children).map((child, index) => {
    const { durationInFrames, offset = 0, ...rest } = child.props;
    const from = start + offset;
    start = from + durationInFrames;
    return <Sequence key={child.key ?? index} {...rest} from={from} durationInFrames={durationInFrames} />;
  });
  return <>{sequences}</>;
}

export const Series = Object.assign(SeriesRow, { Sequence: SeriesSequence });

export interface LoopProps extends LayoutProps {
  durationInFrames: number;
  times?: number;
}

/** Plays its children repeatedly; their own frames start at 0 each time. */
function LoopRow({ durationInFrames, times = Infinity, children, ...layout }: LoopProps): ReactElement | null {
  const frame = useCurrentFrame();
  if (!(durationInFrames > 0)) throw new RangeError("Loop needs durationInFrames above 0");
  const iteration = Math.floor(frame / durationInFrames);
  const loop = useMemo(() => ({ iteration, durationInFrames }), [iteration, durationInFrames]);
  if (frame < 0 || iteration >= times) return null;
  return (
    <LoopContext.Provider value={loop}>
      <Sequence {...layout} from={iteration * durationInFrames} durationInFrames={durationInFrames}>
        {children}
      </Sequence>
    </LoopContext.Provider>
  );
}

export const Loop = Object.assign(LoopRow, { useLoop: () => useContext(LoopContext) });

export interface FreezeProps {
  frame: number;
  active?: boolean | ((frame: number) => boolean);
  children?: ReactNode;
}

/** Keeps its children at one frame, always or while `active`. */
export function Freeze({ frame: held, active = true, children }: FreezeProps): ReactElement {
  const frame = useCurrentFrame();
  const frozen = typeof active === "function" ? active(frame) : active;
  return <FrameContext.Provider value={frozen ? held : frame}>{children}</FrameContext.Provider>;
}
