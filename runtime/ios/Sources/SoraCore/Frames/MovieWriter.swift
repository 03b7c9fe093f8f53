#if canImport(AVFoundation)
    import AVFoundation

    /// A video in H.264 as an MP4. Has never been compiled against Apple's SDK, nor run.
    ///
    /// AVFoundation asks for frames when it is ready; `write` waits while `most` frames are on their way.
    public final class MovieWriter: FrameWriter, @unchecked Sendable {
        private static let most = 4
        private static let timescale: CMTimeScale = 600_000

        private let path: String
        private let format: VideoFormat
        private let writer: AVAssetWriter
        private let input: AVAssetWriterInput
        private let adaptor: AVAssetWriterInputPixelBufferAdaptor
        private let queue = DispatchQueue(label: "sora.movie", qos: .userInitiated)
        private let lock = NSCondition()
        // Behind the lock:
        private var waiting: [[UInt8]] = []
        private var numAppended = 0
        private var numWritten = 0
        private var isOver = false
        private var failure: FrameError?

        /// Throws FrameError.
        public init(_ path: String, _ format: VideoFormat) throws {
            self.path = path
            self.format = format
            do {
                writer = try AVAssetWriter(outputURL: URL(fileURLWithPath: path), fileType: .mp4)
            } catch { throw FrameError(path: path, what: error.localizedDescription) }
            input = AVAssetWriterInput(
                mediaType: .video,
                outputSettings: [
                    AVVideoCodecKey: AVVideoCodecType.h264, AVVideoWidthKey: format.width,
                    AVVideoHeightKey: format.height,
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
            guard writer.startWriting() else { throw problem("cannot be begun") }
            writer.startSession(atSourceTime: .zero)
            input.requestMediaDataWhenReady(on: queue) { [weak self] in self?.appendWhatWaits() }
        }

        public func write(_ frame: ArraySlice<UInt8>) throws {
            try locked {
                guard frame.count == format.frameBytes, numWritten < format.numFrames else {
                    throw FrameError(
                        path: path, what: "frame \(numWritten) of \(frame.count) bytes is none of this video")
                }
                while waiting.count >= Self.most && failure == nil { lock.wait() }
                if let failure { throw failure }
                waiting.append(Array(frame))
                numWritten += 1
                lock.broadcast()
            }
        }

        public func finish() throws {
            try locked {
                guard numWritten == format.numFrames else {
                    throw FrameError(
                        path: path, what: "\(numWritten) of \(format.numFrames) frames have been written")
                }
                while numAppended < numWritten && failure == nil { lock.wait() }
                if let failure { throw failure }
                end()
            }
            let isWritten = DispatchSemaphore(value: 0)
            writer.finishWriting { isWritten.signal() }
            isWritten.wait()
            guard writer.status == .completed else { throw problem("cannot be finished") }
        }

        public func cancel() {
            locked { end() }
            writer.cancelWriting()
            try? FileManager.default.removeItem(atPath: path)
        }

        /// On the queue, whenever more can be taken: waits for the next frame as long as there will be one.
        private func appendWhatWaits() {
            while input.isReadyForMoreMediaData {
                let frame: [UInt8]? = locked {
                    while waiting.isEmpty && !isOver { lock.wait() }
                    return isOver || failure != nil ? nil : waiting.first
                }
                guard let frame else { return }
                autoreleasepool { append(frame) }
            }
        }

        private func append(_ frame: [UInt8]) {
            let time = CMTime(
                value: CMTimeValue((Double(numAppended) * Double(Self.timescale) / format.framesPerSecond).rounded()),
                timescale: Self.timescale)
            let isTaken = pixels(of: frame).map { adaptor.append($0, withPresentationTime: time) } ?? false
            locked {
                waiting.removeFirst()
                numAppended += 1
                if !isTaken { failure = problem("frame \(numAppended - 1) is not taken") }
                lock.broadcast()
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

        /// Behind the lock: no more frames come.
        private func end() {
            guard !isOver else { return }
            isOver = true
            input.markAsFinished()
            lock.broadcast()
        }

        private func problem(_ what: String) -> FrameError {
            FrameError(path: path, what: "\(what): \(writer.error?.localizedDescription ?? "no reason was told")")
        }

        private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
            lock.lock()
            defer { lock.unlock() }
            return try body()
        }
    }
#endif
