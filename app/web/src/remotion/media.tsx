// Images, and placeholders for media that the sandboxed preview cannot play: nothing here reaches the network.
import { useState, type CSSProperties, type ImgHTMLAttributes, type ReactElement } from "react";

function Placeholder({ label, style, className }: { label: string; style?: CSSProperties; className?: string }) {
  const box: CSSProperties = {
    display: "flex",
    alignItems: "center",
    justifyContent: "center",
    minWidth: 120,
    minHeight: 80,
    background: "repeating-linear-gradient(45deg, #2a2d38 0 16px, #23262f 16px 32px)",
    color: "#9aa0b4",
    font: "500 24px/1.2 system-ui, sans-serif",
    ...style,
  };
  return (
    <div className={className} style={box} role="img" aria-label={label}>
      {label}
    </div>
  );
}

/** Shows an image from a data: or blob: address, and a placeholder for any other, which the frame may not fetch. */
export function Img(props: ImgHTMLAttributes<HTMLImageElement>): ReactElement {
  const [broken, setBroken] = useState<string | null>(null);
  const { src, alt, style, className, ...rest } = props;
  if (src === undefined || !/^(data|blob):/i.test(src) || broken === src) {
    return <Placeholder label={alt || "Image"} {...(style && { style })} {...(className && { className })} />;
  }
  return <img {...rest} alt={alt ?? ""} className={className} style={style} src={src} onError={() => setBroken(src)} />;
}

interface MediaProps {
  src?: string;
  style?: CSSProperties;
  className?: string;
}

export function Video({ style, className }: MediaProps): ReactElement {
  return <Placeholder label="Video" {...(style && { style })} {...(className && { className })} />;
}

export function IFrame({ style, className }: MediaProps): ReactElement {
  return <Placeholder label="Web page" {...(style && { style })} {...(className && { className })} />;
}

export function Audio(_props: MediaProps): null {
  return null;
}

/** Return the address of a file in the public folder of an exported project. */
export function staticFile(path: string): string {
  return `/public/${path.replace(/^\/+/, "").split("/").map(encodeURIComponent).join("/")}`;
}
