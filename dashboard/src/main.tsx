import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { connect } from "./api";
import { setTheme, start, theme } from "./app";
import { Shell } from "./shell";

setTheme(theme.get());
start();
connect();
render(<Shell />, document.getElementById("root")!);
