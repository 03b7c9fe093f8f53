#if canImport(AVFoundation)
    import AVFoundation

    /// A video in H.264 as an MP4. Has never been compiled against Apple's SDK, nor run.
    struct MovieEncoder {
        private static let timescale: CMTimeScale = 600_000
        private static let readinessS = 0.002
        /// A bit for each pixel keeps what blocks of pictures have made; small videos get more than they need.
        private static let leastBitsPerSecond = 1_000_000.0

        private let path: String
        private let format: VideoFormat
        private let writer: AVAssetWriter
        private let input: AVAssetWriterInput
        private let adaptor: AVAssetWriterInputPixelBufferAdaptor

        /// At `path`, where nothing lies. Throws FrameError.
        init(_ path: String, _ format: VideoFormat) throws {
            self.path = path
            self.format = format
            do {
                writer = try AVAssetWriter(outputURL: URL(fileURLWithPath: path), fileType: .mp4)
            } catch { throw FrameError(path: path, what: error.localizedDescription) }
            let bitsPerSecond = Double(format.width * format.height) * format.framesPerSecond
            input = AVAssetWriterInput(
                mediaType: .video,
                outputSettings: [
                    AVVideoCodecKey: AVVideoCodecType.h264, AVVideoWidthKey: format.width,
                    AVVideoHeightKey: format.height,
                    AVVideoCompressionPropertiesKey: [
                        AVVideoAverageBitRateKey: Int(max(Self.leastBitsPerSecond, bitsPerSecond))
                    ],
                ])
            input.expectsMediaDataInRealTime = false
            adaptor = AVAssetWriterInputPixelBufferAdaptor(
                assetWriterInput: input,
                sourcePixelBufferAttributes: [
                    kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA,
                    kCVPixelBufferWidthKey as String: format.width, kCVPixelBufferHeightKey as String: format.height,
                ])
            guard writer.canAdd(input) else { throw FrameError(path: path, what: "H.264 is not written here") }
            writer.add(input)
        }

        /// All frames of the spool, once. Throws EncodingInterrupted and FrameError.
        func encode(_ frames: FrameSpool) throws {
            guard writer.startWriting() else { throw problem("cannot be begun") }
            writer.startSession(atSourceTime: .zero)
            do {
                for number in 0..<frames.numFrames { try autoreleasepool { try append(frames.frame(number), number) } }
                // Of a writer that is not writing, Apple's methods do not throw: they end the app.
                guard writer.status == .writing else { throw problem("cannot be finished") }
            } catch {
                if writer.status == .writing { writer.cancelWriting() }
                throw error
            }
            input.markAsFinished()
            let isWritten = DispatchSemaphore(value: 0)
            writer.finishWriting { isWritten.signal() }
            isWritten.wait()
            guard writer.status == .completed else { throw problem("cannot be finished") }
        }

        /// Waits until the encoder can take it: it says so to whoever asks, and of a failure it tells nobody.
        private func append(_ frame: [UInt8], _ number: Int) throws {
            while !input.isReadyForMoreMediaData {
                guard writer.status == .writing else { throw problem("frame \(number) is not taken") }
                Thread.sleep(forTimeInterval: Self.readinessS)
            }
            let time = CMTime(
                value: CMTimeValue((Double(number) * Double(Self.timescale) / format.framesPerSecond).rounded()),
                timescale: Self.timescale)
            guard let buffer = pixels(of: frame), adaptor.append(buffer, withPresentationTime: time) else {
                throw problem("frame \(number) is not taken")
            }
        }

        private func pixels(of frame: [UInt8]) -> CVPixelBuffer? {
            var made: CVPixelBuffer?
            guard let pool = adaptor.pixelBufferPool,
                CVPixelBufferPoolCreatePixelBuffer(nil, pool, &made) == kCVReturnSuccess, let buffer = made,
                CVPixelBufferLockBaseAddress(buffer, []) == kCVReturnSuccess
            else { return nil }
            defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
            guard let base = CVPixelBufferGetBaseAddress(buffer)?.assumingMemoryBound(to: UInt8.self) else {
                return nil
            }
            let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
            for row in 0..<format.height {
                for column in 0..<format.width {
                    let from = (row * format.width + column) * 3
                    let to = row * rowBytes + column * 4
                    base[to] = frame[from + 2]
                    base[to + 1] = frame[from + 1]
                    base[to + 2] = frame[from]
                    base[to + 3] = 255
                }
            }
            return buffer
        }

        /// What the writer says. An encoder that the system has taken away says so, or that it does not know.
        private func problem(_ what: String) -> any Error {
            let told = "\(what): \(writer.error?.localizedDescription ?? "no reason was told")"
            switch (writer.error as? AVError)?.code {
            case .operationInterrupted?, .unknown?: return EncodingInterrupted(what: told)
            default: return FrameError(path: path, what: told)
            }
        }
    }
#endif
